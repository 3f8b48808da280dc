package spa

// For tests.
var (
	IsHashed      = isHashed
	FileName      = fileName
	MaxInMemory   = maxInMemory
	AsksForHTML   = asksForHTML
	PolicyForPage = func(s *Site, page string) (string, []string) { return s.policy.forPage([]byte(page)) }
)

// Accepted names the codings that are accepted, the best first.
func Accepted(fields ...string) (names []string) {
	for _, c := range accepted(fields) {
		names = append(names, c.name)
	}
	return names
}

// Kept returns how many bytes are counted as kept, and how many there are.
func (s *Site) Kept() (counted, there int64) {
	s.files.mu.RLock()
	defer s.files.mu.RUnlock()
	for _, b := range s.files.kept {
		there += b.cost()
	}
	return s.files.used, there
}

// Keep bounds what is kept.
func (s *Site) Keep(most int64) { s.files.most = most }
