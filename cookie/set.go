package cookie

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Set adds c to the answer as a Set-Cookie field. No MaxAge means a session cookie.
//
// Where net/http drops or alters what is not allowed, Set returns an error and adds nothing. It refuses names and
// values that are not plain, so that no CR, LF or semicolon of a user reaches the field; a name and value over
// [MaxSize]; a missing SameSite, and None without Secure; what breaks the rule of a name prefix, in any case; and a
// token (a JWS or JWE in compact form) without HttpOnly. A MaxAge beyond [MaxAge] is cut to it. Several mistakes are told
// together, never with the value in them; [ErrTooLarge] is the only one with a name (RFC 6265bis, sections 4.1 and 5.7).
//
// c stays as it is. Set adds a field and does not look for earlier ones of the same name: browsers take the last. It may
// be called wherever w may, and before the answer's status is written.
func Set(w http.ResponseWriter, c *http.Cookie) error {
	if err := check(c); err != nil {
		return fmt.Errorf("cookie %q: %w", c.Name, err)
	}
	out := *c
	out.MaxAge = min(out.MaxAge, int(MaxAge/time.Second))
	http.SetCookie(w, &out)
	return nil
}

// Delete adds the deletion of c to the answer: the same name, path, domain and flags, an empty value and Max-Age=0.
// It refuses what [Set] refuses, since browsers ignore a deletion whose attributes they would not take (RFC 6265bis,
// section 5.7), and adds nothing then. The value and the life in c do not count; c stays as it is.
func Delete(w http.ResponseWriter, c *http.Cookie) error {
	out := *c
	out.Value, out.Quoted, out.MaxAge, out.Expires, out.RawExpires = "", false, -1, time.Time{}, ""
	return Set(w, &out)
}

func check(c *http.Cookie) error {
	var errs []error
	if !isToken(c.Name) {
		errs = append(errs, errors.New("the name is not a plain token"))
	}
	if deletion := c.Value == "" && c.MaxAge < 0; !deletion && !cleanValue(c.Value) {
		errs = append(errs, errors.New("the value is empty or holds a control, blank, quote, comma, semicolon, backslash, percent or non-ASCII byte"))
	}
	if c.Quoted {
		errs = append(errs, errors.New("quoted values are not read back"))
	}
	if len(c.Name)+len(c.Value) > MaxSize {
		errs = append(errs, ErrTooLarge)
	}
	if c.Path != "" {
		if err := checkPath(c.Path); err != nil {
			errs = append(errs, fmt.Errorf("path %w", err))
		}
	}
	if c.Domain != "" && !isHostName(canonicalDomain(c.Domain)) {
		errs = append(errs, fmt.Errorf("domain %q is not a host name", c.Domain))
	}
	switch c.SameSite {
	case http.SameSiteLaxMode, http.SameSiteStrictMode:
	case http.SameSiteNoneMode:
		if !c.Secure {
			errs = append(errs, errors.New("SameSite=None needs Secure"))
		}
	default:
		errs = append(errs, errors.New("SameSite is missing: use Lax, Strict or None"))
	}
	if c.Partitioned && !c.Secure {
		errs = append(errs, errors.New("Partitioned needs Secure"))
	}
	if err := checkPrefix(c); err != nil {
		errs = append(errs, err)
	}
	if !c.HttpOnly && isJWT(c.Value) {
		errs = append(errs, errors.New("a token needs HttpOnly: script must not read it"))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return c.Valid() // what remains, such as a date that cannot be written
}

// isJWT reports whether value looks like a JWS or JWE in compact form: three or five parts, the first a JSON object in
// base64url (RFC 7519, section 3). It errs to this side: a value may look so without being one.
func isJWT(value string) bool {
	header, _, _ := strings.Cut(value, ".")
	if dots := strings.Count(value, "."); dots != 2 && dots != 4 {
		return false
	}
	object, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(header, "="))
	return err == nil && strings.HasPrefix(strings.TrimLeft(string(object), " \t\r\n"), "{")
}

// isCompactJWS reports whether value is a JWS in compact form and in its one spelling: three parts in base64url, none
// empty, without padding or stray bits, the first a JSON object (RFC 7515, sections 2 and 7.1). An unsecured JWS has an
// empty signature and is none here.
func isCompactJWS(value string) bool {
	parts := strings.Split(value, ".")
	if len(parts) != 3 {
		return false
	}
	for i, part := range parts {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || len(raw) == 0 || i == 0 && (raw[0] != '{' || !json.Valid(raw)) {
			return false
		}
	}
	return !strings.ContainsAny(value, "\r\n") // which encoding/base64 skips
}
