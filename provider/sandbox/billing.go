package sandbox

import "net/http"

// nothing is an amount in US dollars. The sandbox charges nobody.
const nothing = "0.00"

func (c *Cloud) getBalance(*http.Request) (reply, error) {
	return ok(object{
		"month_to_date_balance": nothing,
		"account_balance":       nothing,
		"month_to_date_usage":   nothing,
		"generated_at":          timestamp(c.now()),
	})
}

func (c *Cloud) listBillingHistory(r *http.Request) (reply, error) {
	return list(r, "billing_history", []object{})
}

// listInvoices shows no invoice, and a preview of this month's over nothing.
func (c *Cloud) listInvoices(r *http.Request) (reply, error) {
	rep, err := list(r, "invoices", []object{})
	if err != nil {
		return reply{}, err
	}
	return c.reading(func(s *state) (object, error) {
		now := c.now().UTC()
		rep.body["invoice_preview"] = object{
			"invoice_uuid": s.Account, "invoice_id": "preview", "amount": nothing,
			"invoice_period": now.Format("2006-01"), "updated_at": timestamp(now),
		}
		return rep.body, nil
	})
}

// missing answers for a thing of a kind of which there is none.
func (c *Cloud) missing(*http.Request) (reply, error) { return reply{}, notFound() }
