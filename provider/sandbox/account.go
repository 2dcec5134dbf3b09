package sandbox

import "net/http"

const (
	accountName  = "Sandbox"
	accountEmail = "sandbox@example.com"
)

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
		"name":              accountName,
		"email":             accountEmail,
		"email_verified":    true,
		"uuid":              uuid,
		"status":            c.faults.accountStatus(),
		"status_message":    "",
		"team":              object{"uuid": uuid, "name": accountName},
	}})
}
