package tokencache

import (
	"os"
	"testing"
	"time"
)

// FuzzCache adds, drops and looks, as the bytes say, and holds the cache against a map: what is found must have been added
// under that very text and epoch, with that memo and those times.
func FuzzCache(f *testing.F) {
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzCache"); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	f.Fuzz(func(t *testing.T, steps []byte, tail string) {
		c := New()
		type key struct {
			epoch uint64
			text  string
		}
		model := map[key]Record{}
		epoch := uint64(1)
		// Texts of one end fall into one bucket, in which four have room.
		text := func(b byte) string { return string(rune('a'+b%6)) + "." + tail }
		for _, step := range steps {
			switch b := step >> 2; step & 3 {
			case 0:
				r := Record{Token: text(b), Memo: tail[:int(b)%(len(tail)+1)], Expires: int64(b), NotBefore: int64(b) / 2}
				if !c.Find(epoch, r.Token).Found() {
					model[key{epoch, r.Token}] = r // else the one that is there stays
				}
				c.Add(epoch, r)
			case 1:
				epoch = 1 + uint64(b)%4 // also back: a verification that began before the keys changed
			case 2:
				c.Expire(time.Unix(int64(b), 0))
			case 3:
				if b == 0 {
					c.Forget()
				}
			}
			for b := range byte(6) {
				e := c.Find(epoch, text(b))
				if !e.Found() {
					continue
				}
				want, ok := model[key{epoch, text(b)}]
				if !ok || e.Token() != want.Token || e.Memo() != want.Memo || e.Expires() != want.Expires || e.NotBefore() != want.NotBefore {
					t.Fatalf("found %q %q %d %d, want %+v, %v", e.Token(), e.Memo(), e.Expires(), e.NotBefore(), want, ok)
				}
			}
		}
	})
}
