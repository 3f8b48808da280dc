package tokenjar

import (
	"encoding/binary"
	"time"

	"github.com/tokenjar/tokenjar/internal/tokencache"
)

// A memo is what the cache of verified tokens keeps beside an access token: what an [Identity] needs, so that a hit reads
// no JSON. Numbers are little-endian:
//
//	 0 hash of the session id   8 auth_time, in seconds   16 gen   24 cgen
//	32 length of the user id: 16 bits
//	34 user id, session id
type memo string

const memoHeader = 34

func newMemo(session uint64, id Identity) memo {
	b := make([]byte, 0, memoHeader+len(id.UserID)+len(id.SessionID))
	for _, n := range []uint64{session, uint64(id.AuthTime.Unix()), uint64(id.Generation), uint64(id.claimsGen)} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(id.UserID)))
	b = append(b, id.UserID...)
	return memo(append(b, id.SessionID...))
}

func (m memo) number(at int) uint64 {
	b := m[at : at+8] // one load of the machine: see BenchmarkAuthenticate
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func (m memo) length(at int) int { return int(m[at]) | int(m[at+1])<<8 }
func (m memo) session() uint64   { return m.number(0) }
func (m memo) generation() int64 { return int64(m.number(16)) }
func (m memo) claimsGen() int64  { return int64(m.number(24)) }
func (m memo) userID() string    { return string(m[memoHeader : memoHeader+m.length(32)]) }
func (m memo) sessionID() string { return string(m[memoHeader+m.length(32):]) }

// identityOf returns who an entry of the cache speaks for.
func identityOf(e tokencache.Entry) Identity {
	m := memo(e.Memo())
	return Identity{
		UserID: m.userID(), SessionID: m.sessionID(), Generation: m.generation(),
		AuthTime: time.Unix(int64(m.number(8)), 0).UTC(), ExpiresAt: time.Unix(e.Expires(), 0).UTC(),
		claimsGen: m.claimsGen(), token: e.Token(),
	}
}
