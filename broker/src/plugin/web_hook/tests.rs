//! Against a small HTTP server that answers what the test says.
