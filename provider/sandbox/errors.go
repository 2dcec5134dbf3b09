package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// refusal is an error as the API shows it.
type refusal struct {
	status     int
	id         string // DigitalOcean's word for the kind of error
	message    string
	retryAfter time.Duration // with 429: in how long to try again
}

func (r *refusal) Error() string { return r.id + ": " + r.message }

// The messages are DigitalOcean's own where clients are known to look at them.
const (
	msgPending         = "Droplet already has a pending event."
	msgReservedPending = "The reserved IP already has a pending event."
	msgVolumePending   = "The volume already has a pending event."
	msgDropletLimit    = "creating this/these droplet(s) will exceed your droplet limit"
	msgImage           = "You specified an invalid image for Droplet creation."
	msgSize            = "You specified an invalid size for Droplet creation."
	msgRegion          = "You specified an invalid region for Droplet creation."
	msgRegionClosed    = "Region is not available"
	msgSizeInRegion    = "Size is not available in this region."
	msgImageInRegion   = "The image you specified is not available in the selected region, you can transfer it to this region from the images pages."
	msgHostname        = "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"
	msgKeyInUse        = "SSH Key is already in use on your account"
	msgDropletOn       = "This Droplet is currently on. Please power it off to run this event."
	msgDropletOff      = "This Droplet is currently off. Please power it on to run this event."
	msgHidden          = "This Droplet has no public network."
	msgNoBackups       = "Backups are not enabled for this Droplet."
	msgShrink          = "can not decrease size of Droplet's disk image"
	msgNotFound        = "The resource you requested could not be found."
)

func notFound() *refusal {
	return &refusal{status: http.StatusNotFound, id: "not_found", message: msgNotFound}
}

func badRequest(format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, id: "bad_request", message: fmt.Sprintf(format, args...)}
}

func unprocessable(format string, args ...any) *refusal {
	return &refusal{status: http.StatusUnprocessableEntity, id: "unprocessable_entity", message: fmt.Sprintf(format, args...)}
}

func forbidden(message string) *refusal {
	return &refusal{status: http.StatusForbidden, id: "forbidden", message: message}
}

func conflict(message string) *refusal {
	return &refusal{status: http.StatusConflict, id: "conflict", message: message}
}

// notOffered answers for what DigitalOcean does and the sandbox does not.
func notOffered(what string) *refusal {
	return &refusal{status: http.StatusNotImplemented, id: "not_implemented", message: "The sandbox does not offer " + what + "."}
}

func tooMany(message string, after time.Duration) *refusal {
	return &refusal{status: http.StatusTooManyRequests, id: "too_many_requests", message: message, retryAfter: after}
}

func unauthorized() *refusal {
	return &refusal{status: http.StatusUnauthorized, id: "Unauthorized", message: "Unable to authenticate you"}
}

// asRefusal is how an error is shown. What went wrong inside is for the log.
func asRefusal(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return &refusal{status: http.StatusInternalServerError, id: "server_error", message: "Server Error"}
}
