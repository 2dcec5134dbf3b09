// Package e2e tests Berth as its users have it: the built program, started as
// processes, spoken to over MCP, HTTP and its command line, stopped and killed.
//
// Every test has a data directory of its own, a free port, and the cloud in a
// box. What needs to log in to a server is skipped, with the reason, where the
// machine lets no server have a shell.
package e2e
