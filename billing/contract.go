package billing

// Contract names one of the ways in which Berth is called and sells. Each has a
// price list of its own, and each server belongs to the one that it was bought
// through.
type Contract string

// The contracts. Native is that of the tools and of /v1; the others serve the
// documents of other systems.
const (
	Native    Contract = "native"
	Hourly    Contract = "hourly"    // by the hour, from the balance of an e-mail account
	Instances Contract = "instances" // by the hour, made of custom resources
	Rentals   Contract = "rentals"   // by the day, shared in pools
	Deposits  Contract = "deposit"   // metered out of a deposit that a wallet pays
)

// Contracts are all contracts, in the order in which they are listed.
var Contracts = []Contract{Native, Hourly, Instances, Rentals, Deposits}
