package cookie

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Browsers match prefixes without case (RFC 6265bis, section 5.4), so __host-x falls under the same rule and a name
// differing in case alone is no way around it. Longer prefixes come first: one is the beginning of another.
var prefixes = [...]string{"__Host-Http-", "__Host-", "__Secure-", "__Http-"}

// stripPrefixes returns name without any prefixes, compared without case.
func stripPrefixes(name string) string {
	for {
		i := prefixOf(name)
		if i < 0 {
			return name
		}
		name = name[len(prefixes[i]):]
	}
}

func prefixOf(name string) int {
	for i, p := range prefixes {
		if len(name) >= len(p) && strings.EqualFold(name[:len(p)], p) {
			return i
		}
	}
	return -1
}

// checkPrefix reports why a browser would refuse c for the prefix of its name (RFC 6265bis, section 4.1.3).
func checkPrefix(c *http.Cookie) error {
	i := prefixOf(c.Name)
	if i < 0 {
		return nil
	}
	prefix := prefixes[i]
	var errs []error
	if !c.Secure {
		errs = append(errs, fmt.Errorf("%s needs Secure", prefix))
	}
	if strings.HasPrefix(prefix, "__Host-") && (c.Path != "/" || c.Domain != "") {
		errs = append(errs, fmt.Errorf("%s needs Path=/ and no Domain", prefix))
	}
	if strings.HasSuffix(prefix, "Http-") && !c.HttpOnly {
		errs = append(errs, fmt.Errorf("%s needs HttpOnly", prefix))
	}
	return errors.Join(errs...)
}
