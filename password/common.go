package password

// The rules of "common". The list proves that a password is among the first guessed; what lists hold without end are
// the same words with a year, an exclamation mark or a zero for an o, so these are taken off before looking. Anything
// more would be a composition rule.

import (
	"encoding/json"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/ccojocar/zxcvbn-go/data"
)

// maxDecoration is how many digits and signs around a common word do not make it uncommon.
const maxDecoration = 4

// listed are the words of zxcvbn: passwords by frequency, without those that are English words and names, which its
// other lists have. They are kept as sorted 64-bit hashes, half a megabyte that the collector need not scan; that an
// uncommon password collides with one of them will not happen.
var (
	listSeed = maphash.MakeSeed()
	listed   = sync.OnceValue(func() []uint64 {
		var hashes []uint64
		for _, name := range []string{"Passwords", "English", "FemaleNames", "MaleNames", "Surnames"} {
			var file struct{ List []string }
			if err := json.Unmarshal(data.MustAsset("data/"+name+".json"), &file); err != nil {
				panic("password: word list " + name + ": " + err.Error()) // compiled in, so never
			}
			for _, word := range file.List {
				hashes = append(hashes, maphash.String(listSeed, strings.ToLower(word)))
			}
		}
		for word := range strings.FieldsSeq(newer) {
			hashes = append(hashes, maphash.String(listSeed, word))
		}
		slices.Sort(hashes)
		return slices.Clip(slices.Compact(hashes))
	})
)

// newer are words of this trade, and others that came into use after the list was made.
const newer = `login logon signin signup username passwort motdepasse senha parola wachtwoord tokenjar
	facebook instagram linkedin twitter whatsapp youtube iphone bitcoin netflix minecraft fortnite covid`

func isListed(word string) bool {
	_, ok := slices.BinarySearch(listed(), maphash.String(listSeed, word))
	return ok
}

// Digits and signs in place of letters. One stands for i as for l.
var unleet = [...]*strings.Replacer{
	strings.NewReplacer("@", "a", "4", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t", "+", "t"),
	strings.NewReplacer("@", "a", "4", "a", "3", "e", "1", "l", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t", "+", "t"),
}

func isCommon(password string) bool {
	lower := strings.ToLower(password)
	if isTrivial(lower) || isTwoTrivial(lower) || isDecorated(lower) {
		return true
	}
	for _, r := range unleet {
		if s := r.Replace(lower); s != lower && isTrivial(s) {
			return true
		}
	}
	// A word both decorated and spelled with signs: the decoration is at the end.
	bare := strings.TrimRightFunc(lower, notLetter)
	if bare != "" && len(lower)-len(bare) <= maxDecoration {
		for _, r := range unleet {
			if s := r.Replace(bare); s != bare && utf8.RuneCountInString(s) >= minPart && isListed(s) {
				return true
			}
		}
	}
	return false
}

func isTrivial(s string) bool { return isListed(s) || isRepetition(s) || isRun(s) }

// isDecorated reports whether s is a listed word of at least four letters with a few characters around it that are
// not letters.
func isDecorated(s string) bool {
	word := strings.TrimFunc(s, notLetter)
	decoration := utf8.RuneCountInString(s) - utf8.RuneCountInString(word)
	return decoration > 0 && decoration <= maxDecoration && utf8.RuneCountInString(word) >= minPart && isTrivial(word)
}

// isTwoTrivial reports whether s is a word and a number, in either order, and both are trivial: qwer1234, abc12345.
func isTwoTrivial(s string) bool {
	i := strings.IndexFunc(s, notLetter)
	if i == 0 {
		i = strings.IndexFunc(s, unicode.IsLetter)
	}
	if i <= 0 {
		return false
	}
	a, b := s[:i], s[i:]
	return isTrivial(a) && (isTrivial(b) || len(b) < minPart) || len(a) < minPart && isTrivial(b)
}

func notLetter(r rune) bool { return !unicode.IsLetter(r) }

// isRepetition reports whether s is a short block over and over: aaaaaaaa, 12121212, hugohugo.
func isRepetition(s string) bool {
	for n := 1; n <= min(len(s)/2, 6); n++ {
		if len(s)%n == 0 && strings.Repeat(s[:n], len(s)/n) == s {
			return true
		}
	}
	return false
}

// walks are the ways fingers go along the alphabet and the keyboard; rows follow one another.
var walks = func() []string {
	ways := []string{
		"0123456789012345678901234567890",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
		"1234567890qwertyuiopasdfghjklzxcvbnm1234567890",
		"qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn",
		"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/", "qazwsxedcrfvtgbyhnujmik,ol.p;/",
		"1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "1a2b3c4d5e6f7g8h9i0j", "a1b2c3d4e5f6g7h8i9j0", "a1s2d3f4g5h6j7k8l9",
		"147258369", "123456789", "789456123", "123698745", "1357924680", "1122334455667788990011", "aabbccddeeffgghhiijj",
		"!@#$%^&*()_+",
	}
	for _, way := range ways {
		back := []rune(way)
		slices.Reverse(back)
		ways = append(ways, string(back))
	}
	return ways
}()

// isRun reports whether s is a stretch of one of the walks, or one there and back: 123454321.
func isRun(s string) bool {
	if half := (len(s) + 1) / 2; half >= minPart && isStretch(s[:half]) {
		back := []byte(s)
		slices.Reverse(back)
		if string(back) == s {
			return true
		}
	}
	return isStretch(s)
}

func isStretch(s string) bool {
	return len(s) >= minPart && slices.ContainsFunc(walks, func(way string) bool { return strings.Contains(way, s) })
}
