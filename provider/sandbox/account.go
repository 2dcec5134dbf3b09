package sandbox

import "net/http"

func (c *Cloud) getAccount(*http.Request) (reply, error) {
	var uuid string
	err := c.read(func(s *state) error { uuid = s.Account; return nil })
	if err != nil {
		return reply{}, err
	}
	return ok(object{"account": object{
		"droplet_limit":     c.limit,
		"floating_ip_limit": maxReserved,
		"reserved_ip_limit": maxReserved,
		"volume_limit":      maxVolumes,
		"name":              "Sandbox",
		"email":             "sandbox@example.com",
		"email_verified":    true,
		"uuid":              uuid,
		"status":            c.faults.accountStatus(),
		"status_message":    "",
		"team":              object{"uuid": uuid, "name": "Sandbox"},
	}})
}
