package notes

import (
	"slices"
	"strconv"

	"github.com/tokenjar/tokenjar/problem"
)

// A Note is what everybody may read.
type Note struct {
	ID     int    `json:"id"`
	Author string `json:"author"`
	Text   string `json:"text"`

	accountID string
}

// A StaffNote is a note as only staff sees it.
type StaffNote struct {
	Note
	AccountID string `json:"account_id"`
}

// A Draft is a note that is sent in.
type Draft struct {
	Text string `json:"text"`
}

// List returns all notes.
func (a *App) List() []Note {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Note{}, a.notes...)
}

// Export returns the notes of one account.
func (a *App) Export(account Account) []Note {
	return slices.DeleteFunc(a.List(), func(n Note) bool { return n.accountID != account.ID })
}

// StaffList returns all notes, and whose they are.
func (a *App) StaffList() []StaffNote {
	all := []StaffNote{}
	for _, n := range a.List() {
		all = append(all, StaffNote{n, n.accountID})
	}
	return all
}

// Add adds a note. Its error is for problem.Write.
func (a *App) Add(account Account, draft Draft) (Note, error) {
	if draft.Text == "" {
		return Note{}, problem.New(problem.ValidationFailed).WithDetail("A note needs a text.")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	note := Note{a.last, account.Name, draft.Text, account.ID}
	a.notes = append(a.notes, note)
	return note, nil
}

// Remove removes a note. Its error is for problem.Write.
func (a *App) Remove(id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := slices.IndexFunc(a.notes, func(n Note) bool { return strconv.Itoa(n.ID) == id })
	if at < 0 {
		return problem.New(problem.NotFound)
	}
	a.notes = slices.Delete(a.notes, at, at+1)
	return nil
}
