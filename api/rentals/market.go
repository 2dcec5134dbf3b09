package rentals

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"berth"
	"berth/api"
	"berth/ops"
)

// browse are the filters of the marketplace. What is unknown of a server satisfies
// none.
type browse struct {
	Country      string   `json:"country,omitempty" pattern:"^[A-Za-z]{2}$" patternDescription:"two letters" doc:"Code, such as US."`
	Region       string   `json:"region,omitempty" maxLength:"64" doc:"Such as us-east, eu-central."`
	MaxPerDay    *float64 `json:"max_price_per_day,omitempty" minimum:"0" maximum:"1000000" doc:"USD, of the duration that is cheapest by the day."`
	Durations    []int    `json:"available_durations,omitempty" maxItems:"20" doc:"Days: all of these are offered."`
	Cores        float64  `json:"min_cpu_cores,omitempty" minimum:"0" maximum:"10000"`
	Score        float64  `json:"min_cpu_score,omitempty" minimum:"0" maximum:"100000000"`
	ScoreType    string   `json:"cpu_score_type,omitempty" enum:"passmark,geekbench_single,geekbench_multi"`
	RAM          float64  `json:"min_ram_gb,omitempty" minimum:"0" maximum:"100000"`
	RAMTypes     []string `json:"ram_types,omitempty" maxItems:"20" doc:"Any of these."`
	Storage      float64  `json:"min_total_storage_gb,omitempty" minimum:"0" maximum:"1000000"`
	DiskTypes    []string `json:"disk_types,omitempty" maxItems:"20" doc:"Any of these."`
	Bandwidth    float64  `json:"min_bandwidth_mbps,omitempty" minimum:"0" maximum:"100000000"`
	Traffic      float64  `json:"min_traffic_tb,omitempty" minimum:"0" maximum:"1000000" doc:"A month."`
	Unlimited    bool     `json:"unlimited_traffic_only,omitempty"`
	Category     string   `json:"category,omitempty" enum:"compute,memory,storage,general,gpu"`
	FeaturedOnly bool     `json:"featured_only,omitempty"`
}

// How providers count memory and traffic.
const (
	mbPerGB = 1024
	gbPerTB = 1000
)

// args are the filters as list_offers has them, where whole numbers are asked for
// the next larger one.
func (b browse) args() map[string]any {
	args := map[string]any{
		"country": b.Country, "area": b.Region, "durations": b.Durations, "min_vcpus": math.Ceil(b.Cores),
		"min_cpu_score": math.Ceil(b.Score), "cpu_score_type": b.ScoreType, "min_memory_mb": math.Ceil(b.RAM * mbPerGB), "memory_types": b.RAMTypes,
		"min_disk_gb": math.Ceil(b.Storage), "disk_types": b.DiskTypes, "min_network_mbps": math.Ceil(b.Bandwidth), "min_transfer_gb": math.Ceil(b.Traffic * gbPerTB),
		"unmetered_only": b.Unlimited, "category": b.Category, "featured_only": b.FeaturedOnly,
	}
	for _, name := range []string{"country", "cpu_score_type", "category"} {
		if args[name] == "" {
			delete(args, name) // no filter, where an empty one would be none of the choices
		}
	}
	if b.MaxPerDay != nil {
		// Nothing costs less than the smallest amount, so it finds what zero does.
		least := berth.Micros(1).Decimal()
		args["max_per_day"] = decimal.Max(decimal.NewFromFloat(*b.MaxPerDay).Truncate(6), least).String()
	}
	return args
}

var browseForm = ops.NewForm[browse]()

func marketRoutes() []api.ContractRoute {
	route := api.ContractRoute{Method: "GET", Path: "/servers/available", Status: http.StatusOK, Summary: "Browse the servers that can be rented, the cheapest first", Query: browse{}}
	return []api.ContractRoute{said("Available servers retrieved successfully", route, serveAvailable)}
}

func serveAvailable(x *api.Exchange) ([]offer, error) {
	in, err := filters(x.Request.URL.RawQuery)
	if err == nil {
		_, err = api.Run[ops.MeOut](x, "get_me", nil) // prices are the caller's own
	}
	if err != nil {
		return nil, err
	}
	found, err := api.All(x, "list_offers", in.args(), mostOffers, ops.OffersOut.Page)
	list := []offer{}
	for _, o := range found {
		if o.Available == nil || *o.Available { // until the provider was asked, all are shown
			list = append(list, viewOffer(o))
		}
	}
	return list, err
}

// bracketed is the end of names like ram_types[] and ram_types[0].
var bracketed = regexp.MustCompile(`\[\d*\]$`)

// arrays are the filters that are lists.
var arrays = []string{"available_durations", "ram_types", "disk_types"}

// filters reads a query. Lists are repeated names, with brackets or without, one
// name with commas, or a JSON array. A filter that is empty is none.
func filters(query string) (browse, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return browse{}, berth.Errorf(berth.InvalidInput, "the query can't be read: %v", err)
	}
	args := map[string]any{}
	for given, texts := range values {
		name := bracketed.ReplaceAllString(given, "")
		texts = slices.DeleteFunc(texts, func(s string) bool { return s == "" })
		switch {
		case len(texts) == 0:
		case slices.Contains(arrays, name):
			have, _ := args[name].([]string)
			args[name] = append(have, elements(texts)...)
		case len(texts) == 1:
			args[given] = texts[0]
		default:
			args[given] = texts
		}
	}
	return browseForm.Read(args)
}

// elements are the elements of a list that is written in one or several texts.
func elements(texts []string) (list []string) {
	for _, text := range texts {
		var many []any
		if json.Unmarshal([]byte(text), &many) != nil {
			for part := range strings.SplitSeq(text, ",") {
				many = append(many, strings.TrimSpace(part))
			}
		}
		for _, v := range many {
			list = append(list, fmt.Sprint(v))
		}
	}
	return list
}
