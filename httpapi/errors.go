package httpapi

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tokenjar/tokenjar/problem"
)

// failure carries an operation's error through huma to the transformer. The table from error to answer is package
// problem's.
type failure struct{ err error }

func (f *failure) Error() string  { return f.err.Error() }
func (f *failure) Unwrap() error  { return f.err }
func (f *failure) GetStatus() int { return problem.From(f.err).Status }

// ContentType makes huma announce a problem document.
func (f *failure) ContentType(string) string { return problem.ContentType }

// transform turns what huma would answer on its own, and what operations return as errors, into problem documents.
func (a *API) transform(ctx huma.Context, _ string, v any) (any, error) {
	var err error
	switch v := v.(type) {
	case *failure:
		err = v.err
	case *huma.ErrorModel:
		err = fromHuma(v)
	default:
		return v, nil
	}
	r, w := humago.Unwrap(ctx)
	if visit, ok := r.Context().Value(visitKey{}).(*visit); ok {
		for _, c := range visit.cookies {
			w.Header().Add("Set-Cookie", c.String())
		}
	}
	return problem.Prepare(w.Header(), r.Context(), err), nil
}

// maxFields is how many members one answer names: a short request must not make a long answer.
const maxFields = 20

// fromHuma translates the outcome of huma's validation: which member, and what is wrong with it.
func fromHuma(m *huma.ErrorModel) error {
	p := problem.New(problem.ValidationFailed)
	switch m.Status {
	case 400, 422:
		p.Status = m.Status
	case 413:
		return problem.New(problem.BodyTooLarge)
	case 415:
		return problem.New(problem.UnsupportedMediaType)
	default:
		return m // logged as ours
	}
	for i, e := range m.Errors {
		if i == maxFields {
			break
		}
		_, field, _ := strings.Cut(e.Location, ".") // behind "body", "path" or "query"
		code := "invalid"
		message := e.Message
		switch {
		case strings.HasPrefix(message, "expected required property"):
			code = "required"
			if name, ok := strings.CutPrefix(message, "expected required property "); ok && field == "" {
				field = strings.TrimSuffix(name, " to be present")
			}
			message = "This member is required."
		case message == "unexpected property":
			code, message = "unknown", "There is no such member."
			field = safeName(field)
		case strings.HasPrefix(message, "expected length <= "):
			code, message = "too_long", "This has more than "+message[len("expected length <= "):]+" characters."
		case strings.HasPrefix(message, "expected length >= "):
			code, message = "too_short", "This has less than "+message[len("expected length >= "):]+" characters."
		case strings.HasPrefix(message, "expected string"):
			code, message = "type", "This must be a string."
		case strings.HasPrefix(message, "expected boolean"):
			code, message = "type", "This must be true or false."
		case strings.HasPrefix(message, "expected object"):
			code, message = "type", "This must be an object."
		}
		p.Errors = append(p.Errors, problem.Field{Field: field, Code: code, Detail: message})
	}
	return p
}

// safeName returns a member's name as it may be shown again: it is the client's text.
func safeName(s string) string {
	if runes := []rune(s); len(runes) > 64 {
		return string(runes[:64]) + "…"
	}
	return s
}
