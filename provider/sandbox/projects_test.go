package sandbox

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
)

func (r *rig) resourcesOf(project string) []string {
	r.t.Helper()
	all, _, err := r.client.Projects.ListResources(r.t.Context(), project, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	var urns []string
	for _, res := range all {
		urns = append(urns, res.URN)
		if !strings.HasPrefix(res.Links.Self, r.url+"/v2/") || res.Status != "ok" {
			r.t.Errorf("resource %+v", res)
		}
	}
	return urns
}

func TestProjects(t *testing.T) {
	r := newRig(t)
	projects := r.client.Projects
	first, _, err := projects.GetDefault(t.Context())
	if err != nil || !first.IsDefault || first.Name == "" {
		t.Fatalf("the default project: %+v, %v", first, err)
	}
	d, v := r.create("x"), r.volume("data")
	ip, _, err := r.client.ReservedIPs.Create(t.Context(), &godo.ReservedIPCreateRequest{Region: "nyc3"})
	if err != nil {
		t.Fatal(err)
	}
	everything := []string{d.URN(), "do:floatingip:" + ip.IP, v.URN()}
	if got := r.resourcesOf("default"); !slices.Equal(got, everything) {
		t.Errorf("the default project has %v, want %v", got, everything)
	}
	p, res, err := projects.Create(t.Context(), &godo.CreateProjectRequest{Name: "shop", Purpose: "Web Application", Environment: "Staging"})
	if err != nil || res.StatusCode != http.StatusCreated || p.IsDefault || p.Environment != "Staging" {
		t.Fatalf("project %+v, %v", p, err)
	}
	assigned, _, err := projects.AssignResources(t.Context(), p.ID, d, v.URN(), ip) // of an address the newer name
	if err != nil || len(assigned) != 3 || assigned[0].Status != "assigned" {
		t.Fatalf("assigned %v, %v", assigned, err)
	}
	everything = []string{d.URN(), ip.URN(), v.URN()}
	if got, rest := r.resourcesOf(p.ID), r.resourcesOf(first.ID); !slices.Equal(got, everything) || len(rest) != 0 {
		t.Errorf("after assigning: %v, and in the default one %v", got, rest)
	}
	if got, _, err := r.client.ReservedIPs.Get(t.Context(), ip.IP); err != nil || got.ProjectID != p.ID {
		t.Errorf("the address is in project %v, %v", got, err)
	}
	_, err = projects.Delete(t.Context(), p.ID)
	refused(t, err, http.StatusPreconditionFailed, "cannot delete a project with resources. move or remove the resources first")
	missing, _, err := projects.AssignResources(t.Context(), p.ID, "do:droplet:7", d)
	if err != nil || len(missing) != 2 || missing[0].Status != "not_found" || missing[1].Status != "already_assigned" {
		t.Errorf("assigning what does not exist: %v, %v", missing, err)
	}
	_, _, err = projects.AssignResources(t.Context(), p.ID, "droplet 7")
	refused(t, err, http.StatusUnprocessableEntity, `"droplet 7" is no URN, such as do:droplet:1`)
	if _, _, err := projects.AssignResources(t.Context(), "default", v.URN(), ip); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Droplets.Delete(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	if got := r.resourcesOf(p.ID); len(got) != 0 {
		t.Errorf("a project whose droplet is gone has %v", got)
	}
	if _, err := projects.Delete(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = projects.Get(t.Context(), p.ID)
	refused(t, err, http.StatusNotFound, msgNotFound)
	_, err = projects.Delete(t.Context(), first.ID)
	refused(t, err, http.StatusForbidden, "cannot delete the default project")
}

func TestProjectsThatChange(t *testing.T) {
	r := newRig(t)
	projects := r.client.Projects
	d := r.create("x")
	first, _, err := projects.GetDefault(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := projects.Create(t.Context(), &godo.CreateProjectRequest{Name: "shop", Purpose: "Web Application"})
	if err != nil {
		t.Fatal(err)
	}
	changed, _, err := projects.Update(t.Context(), p.ID, &godo.UpdateProjectRequest{Description: "sells", IsDefault: true})
	if err != nil || changed.Name != "shop" || changed.Description != "sells" || !changed.IsDefault {
		t.Errorf("patched: %+v, %v", changed, err)
	}
	if got, now := r.resourcesOf(first.ID), r.resourcesOf("default"); !slices.Equal(got, []string{d.URN()}) || len(now) != 0 {
		t.Errorf("the former default project has %v, the new one %v", got, now)
	}
	put := func(body map[string]any) error {
		req, err := r.client.NewRequest(t.Context(), "PUT", "v2/projects/default", body)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.client.Do(t.Context(), req, nil)
		return err
	}
	whole := map[string]any{"name": "store", "description": "", "purpose": "Other", "environment": "Production", "is_default": true}
	if err := put(whole); err != nil {
		t.Errorf("put: %v", err)
	}
	delete(whole, "purpose")
	refused(t, put(whole), http.StatusUnprocessableEntity, "name, description, purpose, environment and is_default are required")
	for name, c := range map[string]struct {
		req    godo.UpdateProjectRequest
		status int
	}{
		"name":        {godo.UpdateProjectRequest{Name: ""}, 422},
		"long name":   {godo.UpdateProjectRequest{Name: strings.Repeat("x", maxProjectName+1)}, 422},
		"same name":   {godo.UpdateProjectRequest{Name: first.Name}, 409},
		"purpose":     {godo.UpdateProjectRequest{Purpose: ""}, 422},
		"environment": {godo.UpdateProjectRequest{Environment: "Moon"}, 422},
		"no default":  {godo.UpdateProjectRequest{IsDefault: false}, 422},
	} {
		var e *godo.ErrorResponse
		if _, _, err := projects.Update(t.Context(), p.ID, &c.req); !errors.As(err, &e) || e.Response.StatusCode != c.status {
			t.Errorf("%s: %v, want %d", name, err, c.status)
		}
	}
	if all, _, err := projects.List(t.Context(), nil); err != nil || len(all) != 2 {
		t.Errorf("projects %v, %v", all, err)
	}
}

func TestBilling(t *testing.T) {
	r := newRig(t)
	if b, _, err := r.client.Balance.Get(t.Context()); err != nil || b.MonthToDateUsage != "0.00" || b.GeneratedAt.IsZero() {
		t.Errorf("balance %v, %v", b, err)
	}
	if h, _, err := r.client.BillingHistory.List(t.Context(), nil); err != nil || len(h.BillingHistory) != 0 {
		t.Errorf("billing history %v, %v", h, err)
	}
	all, _, err := r.client.Invoices.List(t.Context(), nil)
	if err != nil || len(all.Invoices) != 0 || all.InvoicePreview.Amount != "0.00" {
		t.Fatalf("invoices %v, %v", all, err)
	}
	if i, _, err := r.client.Invoices.Get(t.Context(), all.InvoicePreview.InvoiceUUID, nil); err != nil || len(i.InvoiceItems) != 0 {
		t.Errorf("this month's invoice: %v, %v", i, err)
	}
	if s, _, err := r.client.Invoices.GetSummary(t.Context(), "preview"); err != nil || s.Amount != "0.00" {
		t.Errorf("its summary: %v, %v", s, err)
	}
	_, _, err = r.client.Invoices.Get(t.Context(), "other", nil)
	refused(t, err, http.StatusNotFound, msgNotFound)
	_, _, err = r.client.Invoices.GetSummary(t.Context(), "other")
	refused(t, err, http.StatusNotFound, msgNotFound)
}
