// Package payments attacks wallets' payments, and lets accidents happen to them:
// the real rails over scripted chains, with the real operations, store and
// fronts. After each case the chains, the books and the servers have to agree.
package payments
