package billing

import (
	"fmt"
	"regexp"
	"slices"

	"berth"
)

// categories are the kinds of work that machines are made for.
var categories = []string{"compute", "memory", "storage", "general", "gpu"}

// scoreTypes are the benchmarks that a CPU's score can be of, and diskTypes the
// kinds of disks.
var (
	scoreTypes = []string{"passmark", "geekbench_single", "geekbench_multi"}
	diskTypes  = []string{"NVMe", "SSD", "HDD"}
)

// The most that a machine can have: far beyond any, so that no price overflows.
const (
	maxVCPUs    = 10_000
	maxMemoryMB = 100_000_000
	maxDiskGB   = 1_000_000
)

// Machine is what the provider sells, under its slug, and what it takes for it.
// What the provider does not publish is left at its zero, which means unknown.
type Machine struct {
	Slug       string       `yaml:"slug"`
	VCPUs      int          `yaml:"vcpus"`
	MemoryMB   int          `yaml:"memory_mb"`
	DiskGB     int          `yaml:"disk_gb"`
	HourlyCost berth.Micros `yaml:"hourly_cost"`

	Category    string `yaml:"category"` // "compute", "memory", "storage", "general" or "gpu"
	CPU         CPU    `yaml:"cpu"`
	MemoryType  string `yaml:"memory_type"`  // such as "DDR5 ECC"
	DiskType    string `yaml:"disk_type"`    // "NVMe", "SSD" or "HDD"
	TransferGB  int    `yaml:"transfer_gb"`  // out, a month, included in the price
	Unmetered   bool   `yaml:"unmetered"`    // transfer has no bound
	NetworkMbps int    `yaml:"network_mbps"` // at most
	GPU         GPU    `yaml:"gpu"`

	Featured   bool `yaml:"featured"`   // to be shown first where servers are advertised
	Popularity int  `yaml:"popularity"` // its rank, 1 for the most bought
}

// CPU is what is known of a machine's processor.
type CPU struct {
	Model     string `yaml:"model"`
	Score     int    `yaml:"score"`
	ScoreType string `yaml:"score_type"` // the benchmark that Score is of: "passmark", "geekbench_single" or "geekbench_multi"
}

// GPU is a machine's GPUs, which are all alike; none where Count is zero.
type GPU struct {
	Name     string `yaml:"name"` // model, form and memory, such as "h100-sxm5-80gb"
	Count    int    `yaml:"count"`
	MemoryGB int    `yaml:"memory_gb"` // of each
}

var countryPattern = regexp.MustCompile(`^[A-Z]{2}$`)

// link checks a region.
func (r Region) link() (problems []error) {
	path := "regions." + r.Slug
	problems = wanted(path, r.Name != "" && r.Provider != "" && r.City != "", "name, provider and city")
	problems = append(problems, wanted(path+".country", countryPattern.MatchString(r.Country) && r.CountryName != "", "two capital letters, and country_name")...)
	return append(problems, wanted(path+".area", slugPattern.MatchString(r.Area), "an area such as us-east")...)
}

// link checks a machine.
func (m Machine) link() (problems []error) {
	path := "machines." + m.Slug
	ok := m.VCPUs > 0 && m.MemoryMB > 0 && m.DiskGB > 0 && m.HourlyCost > 0
	problems = wanted(path, ok, "vcpus, memory_mb, disk_gb and hourly_cost above zero")
	ok = m.VCPUs <= maxVCPUs && m.MemoryMB <= maxMemoryMB && m.DiskGB <= maxDiskGB && m.HourlyCost <= maxPrice
	problems = append(problems, wanted(path, ok, fmt.Sprintf("at most %d vcpus, %d memory_mb, %d disk_gb and %s hourly_cost",
		maxVCPUs, maxMemoryMB, maxDiskGB, maxPrice))...)
	problems = append(problems, wanted(path+".category", slices.Contains(categories, m.Category), fmt.Sprintf("one of %v", categories))...)
	ok = m.DiskType == "" || slices.Contains(diskTypes, m.DiskType)
	problems = append(problems, wanted(path+".disk_type", ok, fmt.Sprintf("one of %v", diskTypes))...)
	ok = m.TransferGB >= 0 && m.NetworkMbps >= 0 && m.Popularity >= 0
	problems = append(problems, wanted(path, ok, "no transfer_gb, network_mbps or popularity below zero")...)
	ok = m.CPU.Score == 0 && m.CPU.ScoreType == "" || m.CPU.Score > 0 && slices.Contains(scoreTypes, m.CPU.ScoreType)
	problems = append(problems, wanted(path+".cpu", ok, fmt.Sprintf("a score above zero with a score_type of %v", scoreTypes))...)
	ok = m.GPU == GPU{} || slugPattern.MatchString(m.GPU.Name) && m.GPU.Count > 0 && m.GPU.MemoryGB > 0
	return append(problems, wanted(path+".gpu", ok, "a name, and count and memory_gb above zero")...)
}
