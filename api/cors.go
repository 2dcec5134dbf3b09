package api

import (
	"net/http"
	"strings"
)

// What pages of other origins may send and see, by the Fetch standard's CORS
// protocol. They may call without asking first: a page gets nothing here by its
// visitor's cookies or by who he is, but by a credential that it has itself.
const (
	// A wallet's clients send Access-Control-Expose-Headers along, though it
	// means nothing in a request.
	takenHeaders = "Authorization, Berth-Key, Content-Type, Accept-Payment, Idempotency-Key, Prefer, PAYMENT-SIGNATURE, X-PAYMENT, SIGN-IN-WITH-X, Access-Control-Expose-Headers"
	shownHeaders = "WWW-Authenticate, Payment-Receipt, PAYMENT-REQUIRED, PAYMENT-RESPONSE, X-PAYMENT-RESPONSE, Berth-Action, Berth-Receipt, Idempotency-Replayed, Location, Retry-After"
)

// openToPages lets pages of any origin read an answer.
func openToPages(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", shownHeaders)
}

// options answers OPTIONS for a path that has these methods, which is what a
// browser asks before it sends a page's request.
func options(w http.ResponseWriter, methods []string) {
	h := w.Header()
	list := strings.Join(methods, ", ")
	h.Set("Allow", list)
	h.Set("Access-Control-Allow-Methods", list)
	h.Set("Access-Control-Allow-Headers", takenHeaders)
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}
