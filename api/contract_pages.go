package api

import (
	_ "embed"
	"html/template"
	"net/http"
	"strings"

	"berth"
	"berth/billing"
)

var (
	//go:embed pages/contract.html
	contractText string
	//go:embed pages/custom.html
	customText string

	contractPage = template.Must(template.New("contract").Parse(contractText))
	customPage   = template.Must(template.New("custom").Parse(customText))
)

// prepaid is the native contract's name in addresses, beside billing.Native: that
// of the document that it began with.
const prepaid = "prepaid"

// contractLink is a contract in the list of all.
type contractLink struct{ Name, Title, Base string }

// links are all contracts, the native one first.
func (a *API) links() []contractLink {
	list := []contractLink{{prepaid, "Prepaid minutes: the native contract", "/v1"}}
	for i := range a.Contracts {
		c := &a.Contracts[i]
		list = append(list, contractLink{string(c.Name), c.Title, c.path(ContractRoute{})})
	}
	return list
}

// contract is the one that a page is about. For the native one it is nil, with
// true.
func (a *API) contract(r *http.Request) (*Contract, bool) {
	name := r.PathValue("contract")
	if name == prepaid || name == string(billing.Native) {
		return nil, true
	}
	for i := range a.Contracts {
		if string(a.Contracts[i].Name) == name {
			return &a.Contracts[i], true
		}
	}
	return nil, false
}

// ofContract serves what there is of each contract: native for the native one.
func (a *API) ofContract(native http.HandlerFunc, other func(http.ResponseWriter, *http.Request, *Contract)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, ok := a.contract(r)
		switch {
		case !ok:
			a.fail(w, r, berth.Errorf(berth.NotFound, "there is no contract %.40q", r.PathValue("contract")).Hinted("see /docs for those there are"))
		case c == nil:
			native(w, r)
		default:
			other(w, r, c)
		}
	}
}

func (a *API) contractDocs(w http.ResponseWriter, r *http.Request, c *Contract) {
	p := a.page(r)
	p.Contract, p.Path, p.Guide = c, c.path(ContractRoute{}), strings.TrimSpace(a.localised(r, c.Guide))
	p.Groups = []group{contractReference(c, a.System.Prices(c.Name))}
	a.show(w, r, contractPage, p)
}

func (a *API) contractOpenAPI(w http.ResponseWriter, r *http.Request, c *Contract) {
	a.document(w, r, ContractDocument(c, a.System.Prices(c.Name), a.Version))
}

func (a *API) contractGuide(w http.ResponseWriter, r *http.Request, c *Contract) {
	a.text(w, a.localised(r, c.Guide))
}

// custom tells how to ask for more than a contract allows.
func (a *API) custom(w http.ResponseWriter, r *http.Request) { a.show(w, r, customPage, a.page(r)) }

// guides are the parts of llms.txt that the contracts have.
func (a *API) guides() string {
	var b strings.Builder
	for _, c := range a.Contracts {
		b.WriteString("\n" + strings.TrimSpace(c.Guide) + "\n")
	}
	return b.String()
}
