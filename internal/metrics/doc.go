// Package metrics counts and measures what a node does, for Prometheus. It has a registry of its own, so nothing that a
// program around us registers gets mixed in, and the table in reference.go lists every family of ours.
//
// Labels are bounded: routes are patterns, methods and codes are words of ours, and what could grow without end is
// counted under "other". Nothing a client sends becomes a label, so no secret can.
package metrics
