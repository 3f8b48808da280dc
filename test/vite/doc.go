// Package vite holds a real Vite against us: as the development server behind spa.dev_server, with hot reload, and as what
// builds the folder behind spa.dir, opened in a real browser.
//
// It consists of tests. They install Vite into this folder, and skip where that cannot be done or Chromium is missing, unless
// TOKENJAR_REQUIRE_ALL is set.
package vite
