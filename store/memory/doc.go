// Package memory keeps sessions, users, the audit trail and the key ring in this process: for tests, demonstrations and
// programs that may forget every session when they stop. Several processes cannot share it.
//
// It decides by [tokenjar.Session.Judge] like every store, and passes the same contract (package store/storetest). What
// it owns is the maps; judgement belongs to the root package.
package memory
