package billing

import (
	"slices"

	"berth"
)

// Rates make a size of each machine that no explicit size of the price list is
// made of. Its slug is the machine's; an hour of it costs the sum of the rates
// of what it has, and at least the provider's cost and a margin.
type Rates struct {
	VCPU      berth.Micros `yaml:"vcpu"`      // an hour of one
	MemoryGB  berth.Micros `yaml:"memory_gb"` // an hour of 1024 MB
	DiskGB    berth.Micros `yaml:"disk_gb"`   // an hour of one
	Margin    int          `yaml:"margin"`    // percent above cost, at least: 0 to 1000
	CreateFee berth.Micros `yaml:"create_fee"`
	Unlisted  bool         `yaml:"unlisted"` // lists don't show these sizes
}

// Published is what a machine's processors, memory and disk cost per hour at the
// rates alone, rounded up to the micro-dollar. GPUs have no such rate.
func (r Rates) Published(m Machine) berth.Micros {
	const mbPerGB = 1024
	sum := (r.VCPU*berth.Micros(m.VCPUs) + r.DiskGB*berth.Micros(m.DiskGB)) * mbPerGB
	sum += r.MemoryGB * berth.Micros(m.MemoryMB)
	return (sum + mbPerGB - 1) / mbPerGB
}

// Hourly is what an hour of a machine costs, rounded up to the micro-dollar.
func (r Rates) Hourly(m Machine) berth.Micros {
	return max(r.Published(m), marked(m.HourlyCost, r.Margin))
}

// GPUHourly is what an hour of each of a machine's GPUs costs beside the rest of
// it, rounded up to the micro-dollar: zero where it has none.
func (r Rates) GPUHourly(m Machine) berth.Micros {
	if m.GPU.Count == 0 {
		return 0
	}
	n := berth.Micros(m.GPU.Count)
	return (r.Hourly(m) - r.Published(m) + n - 1) / n
}

// marked is a cost and so many percent of it, rounded up.
func marked(cost berth.Micros, percent int) berth.Micros {
	return (cost*berth.Micros(100+percent) + 99) / 100
}

// sizes makes the sizes of the machines that have none yet.
func (r Rates) sizes(machines []Machine, have []Size) (made []Size) {
	for _, m := range machines {
		if slices.ContainsFunc(have, func(s Size) bool { return s.MachineSlug == m.Slug }) {
			continue
		}
		made = append(made, Size{Slug: m.Slug, MachineSlug: m.Slug, CreateFee: r.CreateFee, Hourly: r.Hourly(m), Unlisted: r.Unlisted})
	}
	return made
}

// link checks the rates.
func (r Rates) link(path string) (problems []error) {
	for _, a := range []struct {
		name   string
		amount berth.Micros
	}{{"vcpu", r.VCPU}, {"memory_gb", r.MemoryGB}, {"disk_gb", r.DiskGB}, {"create_fee", r.CreateFee}} {
		problems = append(problems, wanted(path+"."+a.name, a.amount >= 0 && a.amount <= maxPrice, anAmount)...)
	}
	return append(problems, wanted(path+".margin", r.Margin >= 0 && r.Margin <= maxMargin, "a percentage from 0 to 1000")...)
}
