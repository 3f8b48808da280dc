package cookie

import (
	"encoding/base64"
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
// token (a JWS in compact form) without HttpOnly. A MaxAge beyond [MaxAge] is cut to it.
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
// It refuses what [Set] refuses, since browsers ignore a deletion whose attributes they would not take.
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
	if !c.HttpOnly && isJWS(c.Value) {
		errs = append(errs, errors.New("a token needs HttpOnly: script must not read it"))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return c.Valid() // what remains, such as a date that cannot be written
}

// isJWS reports whether value looks like a JWS in compact form: three parts, the first a JSON object in base64url
// (RFC 7515, section 7.1).
func isJWS(value string) bool {
	header, _, ok := strings.Cut(value, ".")
	if !ok || strings.Count(value, ".") != 2 {
		return false
	}
	json, err := base64.RawURLEncoding.DecodeString(header)
	return err == nil && strings.HasPrefix(string(json), "{")
}
