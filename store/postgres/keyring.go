package postgres

import (
	"context"

	"github.com/tokenjar/tokenjar"
)

// KeyRing implements [tokenjar.KeyRingStore].
func (s *Store) KeyRing(ctx context.Context) ([]byte, int64, error) {
	type ring struct {
		box     []byte
		version int64
	}
	list, err := queryBy(ctx, s.poll, "read key ring", func(r scanner) (v ring, err error) {
		err = r.Scan(&v.version, &v.box)
		return v, err
	}, `SELECT version, box FROM keyring WHERE id = 1`)
	if err != nil || len(list) == 0 {
		return nil, 0, err
	}
	return list[0].box, list[0].version, nil
}

// SaveKeyRing implements [tokenjar.KeyRingStore]. The new version is one more than the given one. Of two that save at
// once the second waits for the first and then finds another version.
func (s *Store) SaveKeyRing(ctx context.Context, box []byte, version int64) error {
	_, err := write(ctx, s, "save key ring", func(t *tx) (struct{}, error) {
		query := `UPDATE keyring SET version = version + 1, box = $1 WHERE id = 1 AND version = $2`
		if version == 0 {
			query = `INSERT INTO keyring (id, version, box) VALUES (1, $2::bigint + 1, $1) ON CONFLICT (id) DO NOTHING`
		}
		n, err := t.exec(query, box, version)
		if err == nil && n == 0 {
			err = tokenjar.ErrConflict
		}
		t.changed()
		return struct{}{}, err
	})
	return err
}
