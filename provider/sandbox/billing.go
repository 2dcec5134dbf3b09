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
	now := c.now().UTC()
	rep.body["invoice_preview"] = object{
		"invoice_uuid": preview, "invoice_id": preview, "amount": nothing,
		"invoice_period": now.Format("2006-01"), "updated_at": timestamp(now),
	}
	return rep, nil
}

// preview names the one invoice that there is: this month's so far.
const preview = "preview"

func (c *Cloud) listInvoiceItems(r *http.Request) (reply, error) {
	if r.PathValue("invoice") != preview {
		return reply{}, notFound()
	}
	return list(r, "invoice_items", []object{})
}

func (c *Cloud) getInvoiceSummary(r *http.Request) (reply, error) {
	if r.PathValue("invoice") != preview {
		return reply{}, notFound()
	}
	sum := func(name string) object { return object{"name": name, "amount": nothing} }
	charges := sum("Product usage charges")
	charges["items"] = []object{}
	return ok(object{
		"invoice_uuid": preview, "invoice_id": preview, "amount": nothing, "billing_period": c.now().UTC().Format("2006-01"),
		"user_name": accountName, "user_email": accountEmail, "product_charges": charges,
		"overages": sum("Overages"), "taxes": sum("Taxes"), "credits_and_adjustments": sum("Credits & adjustments"),
	})
}
