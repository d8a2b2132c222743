// Package enginebrowser holds the tests that the engine and the browser client
// must pass together, in headless Chromium: random templates adopted, patched
// and compared with the DOM of a full render, and what a patch must leave alone.
//
// It is a package of its own because its tests need a browser, and lies here
// because only code below live may see the engine. Nothing imports it.
package enginebrowser
