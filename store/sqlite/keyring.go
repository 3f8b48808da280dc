package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/tokenjar/tokenjar"
)

// KeyRing implements [tokenjar.KeyRingStore].
func (s *Store) KeyRing(ctx context.Context) ([]byte, int64, error) {
	var box []byte
	var version int64
	err := s.row(ctx, `SELECT version, box FROM keyring WHERE id = 1`).Scan(&version, &box)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, storeError("read key ring", s.readError(err))
	}
	return box, version, nil
}

// SaveKeyRing implements [tokenjar.KeyRingStore]. The new version is one more than the given one.
func (s *Store) SaveKeyRing(ctx context.Context, box []byte, version int64) error {
	_, err := write(ctx, s, "save key ring", func(t *tx) (struct{}, error) {
		query := `UPDATE keyring SET version = version + 1, box = ?1 WHERE id = 1 AND version = ?2`
		if version == 0 {
			query = `INSERT INTO keyring (id, version, box) VALUES (1, ?2 + 1, ?1) ON CONFLICT (id) DO NOTHING`
		}
		n, err := t.exec(query, box, version)
		if err == nil && n == 0 {
			err = tokenjar.ErrConflict
		}
		return struct{}{}, err
	})
	return err
}
