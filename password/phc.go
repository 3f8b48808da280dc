package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrMalformed is returned for a stored hash that cannot be verified: not a PHC string of Argon2id version 19, or of
// a cost beyond the maximum, for which no work is done.
var ErrMalformed = errors.New("password: malformed stored hash")

// What a stored hash may ask for. The maximum admits the defaults of other systems (Django: 100 MiB, 2 passes, 8
// lanes) and the second recommendation of RFC 9106, section 4 (64 MiB, 3 passes, 4 lanes).
const (
	maxMemory  = 128 * 1024 // KiB
	maxTime    = 16
	maxThreads = 16
	maxWork    = 512 * 1024 // KiB passed over: memory times passes

	saltSize = 16
	tagSize  = 32

	maxPHC = 512
)

// cost is what a hash takes: memory in KiB, passes over it, lanes.
type cost struct {
	memory, time uint32
	threads      uint8
}

// work is what the time of a hash is proportional to.
func (c cost) work() uint64 { return uint64(c.memory) * uint64(c.time) }

// less returns a cost that makes up the difference to a cheaper one, if there is any worth the name. Its memory stays
// within that of c.
func (c cost) less(cheaper cost) (cost, bool) {
	if cheaper.work() >= c.work() {
		return cost{}, false
	}
	memory := uint32((c.work() - cheaper.work()) / uint64(c.time))
	return cost{memory: memory, time: c.time, threads: 1}, memory >= 8
}

// record is a parsed PHC string.
type record struct {
	cost
	salt, tag []byte
}

// String is the one spelling of r: $argon2id$v=19$m=19456,t=2,p=1$salt$tag, in base64 without padding.
func (r record) String() string {
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", r.memory, r.time, r.threads,
		base64.RawStdEncoding.EncodeToString(r.salt), base64.RawStdEncoding.EncodeToString(r.tag))
}

// parse reads a PHC string of Argon2id. What it accepts is exactly what String writes, within the maximum cost and
// the sizes of RFC 9106, section 3.1 (salt from 8 bytes; the tag here from 16, since less could be guessed).
func parse(phc string) (record, error) {
	if len(phc) > maxPHC {
		return record{}, malformed("too long")
	}
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return record{}, malformed("not Argon2id version 19")
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return record{}, malformed("parameters")
	}
	var numbers [3]uint32
	for i, name := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(params[i], name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil {
			return record{}, malformed("parameters")
		}
		numbers[i] = uint32(n)
	}
	memory, time, threads := numbers[0], numbers[1], numbers[2]
	if time < 1 || threads < 1 || threads > maxThreads || memory < 8*threads {
		return record{}, malformed("parameters")
	}
	r := record{cost: cost{memory: memory, time: time, threads: uint8(threads)}}
	if memory > maxMemory || time > maxTime || r.work() > maxWork {
		return record{}, malformed("cost beyond the maximum")
	}
	var err1, err2 error
	r.salt, err1 = base64.RawStdEncoding.DecodeString(parts[4])
	r.tag, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(r.salt) < 8 || len(r.salt) > 64 || len(r.tag) < 16 || len(r.tag) > 64 {
		return record{}, malformed("salt or tag")
	}
	if r.String() != phc { // leading zeros, line breaks in base64, spare bits
		return record{}, malformed("not in its one spelling")
	}
	return r, nil
}

// malformed says what is wrong without any of the stored bytes.
func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }
