package ops

import (
	"log/slog"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
)

// System is Berth itself: the operation table over everything that operations
// work with.
type System struct {
	store   Store
	fleet   *fleet.Fleet
	catalog *billing.Catalog
	hands   Hands
	cashier *billing.Cashier

	withdrawals Withdrawals
	keys        Keys
	tokens      *account.Tokens
	passwords   *account.Passwords
	welcome     berth.Micros
	now         berth.Clock
	log         *slog.Logger
	table       *Table
	flights     *flights
}

// Keys derives secret keys for purposes; an *account.Vault.
type Keys interface {
	Derive(purpose string, n int) ([]byte, error)
}

// hashers is how many passwords are hashed at once: with 19 MiB each, little of
// any machine's memory.
const hashers = 4

// Options are what a System is made of.
type Options struct {
	Store   Store
	Fleet   *fleet.Fleet
	Catalog *billing.Catalog
	Hands   Hands
	Cashier *billing.Cashier // takes wallets' payments; nil for none
	Now     berth.Clock
	Log     *slog.Logger
	Keys    Keys         // signs access tokens
	Welcome berth.Micros // play money for each account that registers; zero where money is real

	Withdrawals Withdrawals
}

// New makes a System with the whole operation table.
func New(o Options) *System {
	s := &System{
		store: o.Store, fleet: o.Fleet, catalog: o.Catalog, hands: o.Hands, now: o.Now, log: o.Log,
		flights: newFlights(), cashier: o.Cashier, withdrawals: o.Withdrawals,
		keys: o.Keys, tokens: account.NewTokens(o.Keys, o.Now), passwords: account.NewPasswords(hashers), welcome: o.Welcome,
	}
	if s.cashier == nil {
		s.cashier = billing.NewCashier(nil, nil, o.Now, o.Log)
	}
	s.table = NewTable(choices(o.Catalog))
	s.addCatalog()
	s.addOffers()
	s.addMoney()
	s.addWithdrawals()
	s.addServers()
	s.addFleets()
	s.addLeases()
	s.addUpdate()
	s.addRemote()
	s.addSnapshots()
	s.addKeys()
	s.addActions()
	s.addPools()
	s.addMembers()
	s.addInvitations()
	s.addLogin()
	s.addMe()
	s.addTopUp()
	s.addAttach()
	s.addOperator()
	return s
}

// Prices is the price list of a contract.
func (s *System) Prices(c billing.Contract) *billing.PriceList { return s.catalog.Prices[c] }

// Table is the list of all operations.
func (s *System) Table() *Table { return s.table }
