package password_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/password"
)

func codes(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var pe *password.PolicyError
	if !errors.As(err, &pe) {
		t.Fatalf("got %T %v, want *PolicyError", err, err)
	}
	var out []string
	for _, v := range pe.Violations {
		if v.Detail == "" {
			t.Errorf("violation %q has no sentence", v.Code)
		}
		out = append(out, v.Code)
	}
	return out
}

func TestPolicy(t *testing.T) {
	const (
		short, long, common, similar, utf8 = password.CodeTooShort, password.CodeTooLong, password.CodeCommon, password.CodeSimilar, password.CodeInvalidUTF8
	)
	for _, tt := range []struct {
		name     string
		policy   password.Policy
		password string
		own      []string
		want     []string
	}{
		{name: "ordinary password", password: "kettle-orbit-93-lamp"},
		{name: "empty is too short", password: "", own: []string{"", "@"}, want: []string{short}},
		{name: "seven characters are too short", password: "k3T!x9w", want: []string{short}},
		{name: "eight characters suffice", password: "k3T!x9wq"},
		{name: "eight characters of four bytes suffice", password: "🦊🌵🎻🧊🪁🥨🧭🪴"},
		{name: "seven characters of four bytes are too short", password: "🦊🌵🎻🧊🪁🥨🧭", want: []string{short}},
		{name: "128 characters suffice", password: strings.Repeat("kettle-o", 15) + "rbit-93-"},
		{name: "128 characters of four bytes suffice", password: strings.Repeat("🦊🌵🎻🧊🪁🥨🧭🪴", 15) + "🦊🌵🎻🧊🪁🥨🧭🧭"},
		{name: "129 characters are too long", password: strings.Repeat("kettle-o", 16) + "x", want: []string{long}},
		{name: "a configured maximum cannot pass the byte limit", policy: password.Policy{Max: 5000}, password: strings.Repeat("kettle-o", 128) + "x", want: []string{long}},
		{name: "configured minimum of 15", policy: password.Policy{Min: 15}, password: "kettle-orbit-9", want: []string{short}},
		{name: "L-13 NUL is a character", password: "k3T!\x00x9w"},
		{name: "L-13 CR and LF are characters", password: "k3T!\r\nx9w"},
		{name: "L-13 blanks around it count as typed", password: "  k3T!x  "},
		{name: "L-13 invalid UTF-8", password: "k3T!x9wq\xff", want: []string{utf8}},
		{name: "L-13 lone surrogate is invalid UTF-8", password: "k3T!x9w\xed\xa0\x80", want: []string{utf8}},
		{name: "no composition rules: lower case only", password: "plovertangent"},
		{name: "no composition rules: digits only", password: "8302915746"},
		{name: "passphrase of common words", password: "correct horse battery staple"},
		{name: "long phrase with a name of the user", password: "alice likes purple trains", own: []string{"alice"}},
		{name: "L-21 common and short are both told", password: "dragon", want: []string{short, common}},

		{name: "user name as password", password: "GreenHeron7", own: []string{"greenheron7"}, want: []string{similar}},
		{name: "user name with digits", password: "greenheron77", own: []string{"greenheron"}, want: []string{similar}},
		{name: "user name twice", password: "HeronxqHeronxq1", own: []string{"heronxq"}, want: []string{similar}},
		{name: "mail address", password: "j.plovert@example.org", own: []string{"jp", "J.Plovert@example.org"}, want: []string{similar}},
		{name: "local part of the mail address", password: "xj.plovert1", own: []string{"j.plovert@example.org"}, want: []string{similar}},
		{name: "word of the mail address", password: "Plovert!1", own: []string{"j.plovert@example.org"}, want: []string{similar}},
		{name: "part of the mail address", password: "vert@example", own: []string{"j.plovert@example.org"}, want: []string{similar}},
		{name: "name of three characters inside", password: "kamboq-93-lamp", own: []string{"amb"}},
		{name: "name of three characters alone", policy: password.Policy{Min: 3}, password: "Qzx", own: []string{"qzx"}, want: []string{similar}},
		{name: "other user's name", password: "greenheron77x", own: []string{"bob", "bob@example.org"}},
		{name: "blank own values", password: "kettle-orbit", own: []string{"", " "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := codes(t, tt.policy.Check(tt.password, tt.own...)); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPolicyErrorHoldsNoPassword(t *testing.T) {
	err := password.Policy{}.Check("princess1", "princess1")
	if err == nil || strings.Contains(err.Error(), "princess") {
		t.Errorf("got %v, want an error without the password", err)
	}
}

// Well-known entries of published lists of leaked passwords, eight characters and more.
var leaked = strings.Fields(`
password password1 password12 password123 password! Password1 Password1! PASSWORD passw0rd p@ssw0rd P@ssw0rd! p@ssword Passw0rd1
12345678 123456789 1234567890 0123456789 87654321 987654321 0987654321 11111111 00000000 88888888 12341234 123123123 12121212
11223344 1122334455 99999999 147258369 789456123 123454321 12344321
qwertyui qwertyuiop qwerty12 qwerty123 qwerty1234 qwerty12345 qwer1234 1234qwer asdfghjk asdfghjkl asdf1234 zxcvbnm1 1qaz2wsx zaq12wsx
1q2w3e4r 1q2w3e4r5t q1w2e3r4 qazwsxedc qwertzuiop azertyuiop a1b2c3d4 1a2b3c4d abc12345 abcd1234 aa123456 a1234567 a12345678 123456789a
12345678a abcdefgh abcdefg1 aaaaaaaa asdasdasd qweqweqwe 1qazxsw2 qwe123qwe asd123asd
iloveyou iloveyou1 iloveyou2 sunshine sunshine1 princess princess1 football football1 baseball baseball1 basketball superman superman1
batman123 starwars trustno1 whatever computer internet michelle jennifer jessica1 charlie1 michael1 jordan23 liverpool chelsea1 arsenal1
corvette mercedes mustang1 midnight maverick cocacola snickers samantha victoria alexander benjamin elizabeth nicholas danielle
letmein1 letmein123 welcome1 welcome123 Welcome1! admin123 admin1234 administrator changeme changeme1 secret123 master123 monkey123
dragon123 shadow12 killer123 hunter123 blink182 pokemon1 samsung1 google123 myspace1 freedom1 hello123 hellohello test1234 testtest
testing1 temp1234 guest123 root1234 user1234 login123 pass1234 pass12345 access14 spongebob butterfly chocolate barcelona
`)

func TestLeakedPasswordsAreCommon(t *testing.T) { // L-21
	for _, pw := range leaked {
		if got := codes(t, password.Policy{}.Check(pw)); !slices.Contains(got, password.CodeCommon) {
			t.Errorf("L-21 %q: got %q, want %q", pw, got, password.CodeCommon)
		}
	}
}

func TestUncommonPasswordsAreNot(t *testing.T) {
	for _, pw := range []string{
		"kettle-orbit-93-lamp", "Tr0ub4dor&3x", "plovertangent", "correcthorsebatterystaple", "8302915746", "hw7Gq2pLz", "dragon-kettle-91",
		"rain 1994-07-12", "Zq8#mV2!", "blaue Katze am See", "пароль-очень-длинный", "我的密码很长很安全吗", "x1!y2?z3.", "1994-07-12 x",
	} {
		if got := codes(t, password.Policy{}.Check(pw)); got != nil {
			t.Errorf("%q: got %q, want accepted", pw, got)
		}
	}
}

func BenchmarkPolicyCheck(b *testing.B) {
	var p password.Policy
	_ = p.Check("warm up the list")
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Check("kettle-orbit-93-lamp", "greenheron", "j.plovert@example.org")
	}
}
