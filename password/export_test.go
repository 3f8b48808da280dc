package password

// Derive replaces the key derivation of h, so that tests of its queue and of its choice of work need not do the work.
func (h *Hasher) Derive(f func(password, salt []byte, memory, time uint32, threads uint8, keyLen uint32) []byte) {
	h.derive = func(password, salt []byte, c cost, keyLen uint32) []byte {
		return f(password, salt, c.memory, c.time, c.threads, keyLen)
	}
}

// Waiting is how many hashes are in the queue.
func (h *Hasher) Waiting() int { return int(h.waiting.Load()) }

// Reencode parses a PHC string and writes it again, with the cost it asks for.
func Reencode(phc string) (out string, memory, time uint32, threads uint8, err error) {
	r, err := parse(phc)
	if err != nil {
		return "", 0, 0, 0, err
	}
	return r.String(), r.memory, r.time, r.threads, nil
}
