package tools

import (
	"slices"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// client is what the server remembers of one client between its requests. In
// the legacy era it lives as long as the connection or session; a modern
// request brings everything along and gets a client of its own.
// It is safe for concurrent use.
type client struct {
	id string

	mu           sync.Mutex
	initialized  bool
	version      string
	info         mcp.Implementation
	capabilities mcp.ClientCapabilities
	level        mcp.LoggingLevel
	resources    map[string]struct{}
}

// maxSubscriptions bounds the resources one client can subscribe to.
const maxSubscriptions = 1000

// SessionID returns the id of the connection, the same for all its requests.
func (c *client) SessionID() string { return c.id }

// Initialize marks the client as ready for notifications.
func (c *client) Initialize() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.initialized = true
}

// Initialized reports whether the client is ready for notifications.
func (c *client) Initialized() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.initialized
}

// GetClientInfo returns the name and version the client gave of itself.
func (c *client) GetClientInfo() mcp.Implementation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.info
}

// SetClientInfo records the name and version the client gave of itself.
func (c *client) SetClientInfo(info mcp.Implementation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.info = info
}

// GetClientCapabilities returns what the client said it can do.
func (c *client) GetClientCapabilities() mcp.ClientCapabilities {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.capabilities
}

// SetClientCapabilities records what the client said it can do.
func (c *client) SetClientCapabilities(capabilities mcp.ClientCapabilities) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.capabilities = capabilities
}

// ProtocolVersion returns the version agreed on in initialize, or "".
func (c *client) ProtocolVersion() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version
}

// SetProtocolVersion records the version agreed on in initialize.
func (c *client) SetProtocolVersion(version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version = version
}

// GetLogLevel returns the least severe level of log messages the client wants.
func (c *client) GetLogLevel() mcp.LoggingLevel {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.level == "" {
		return mcp.LoggingLevelError
	}
	return c.level
}

// SetLogLevel records the least severe level of log messages the client wants.
func (c *client) SetLogLevel(level mcp.LoggingLevel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.level = level
}

// SubscribeToResource records a subscription. Beyond maxSubscriptions it does nothing.
func (c *client) SubscribeToResource(uri string) { _ = c.SubscribeToResourceErr(uri) }

// SubscribeToResourceErr records a subscription, or says that there are too many.
func (c *client) SubscribeToResourceErr(uri string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.resources) >= maxSubscriptions {
		return rejectf(mcp.INVALID_PARAMS, "at most %d resources can be subscribed to", maxSubscriptions)
	}
	if c.resources == nil {
		c.resources = make(map[string]struct{})
	}
	c.resources[uri] = struct{}{}
	return nil
}

// UnsubscribeFromResource forgets a subscription.
func (c *client) UnsubscribeFromResource(uri string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.resources, uri)
}

// SubscribedResources returns the subscribed URIs, sorted.
func (c *client) SubscribedResources() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	uris := make([]string, 0, len(c.resources))
	for uri := range c.resources {
		uris = append(uris, uri)
	}
	slices.Sort(uris)
	return uris
}

// IsSubscribedToResource reports whether the client subscribed to uri.
func (c *client) IsSubscribedToResource(uri string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.resources[uri]
	return ok
}

// feedSize is how many server-initiated notifications wait for a client that
// does not read them at the moment. Beyond it mcp-go reports them to its error hooks.
const feedSize = 256

// standing is the session through which notifications that belong to no
// request reach a legacy client, such as a changed list of tools.
type standing struct {
	*client
	feed chan mcp.JSONRPCNotification
}

func newStanding(c *client) *standing {
	return &standing{client: c, feed: make(chan mcp.JSONRPCNotification, feedSize)}
}

// NotificationChannel returns the feed of the connection.
func (s *standing) NotificationChannel() chan<- mcp.JSONRPCNotification { return s.feed }

var (
	_ server.ClientSession                       = (*standing)(nil)
	_ server.SessionWithLogging                  = (*standing)(nil)
	_ server.SessionWithClientInfo               = (*standing)(nil)
	_ server.SessionWithProtocolVersion          = (*standing)(nil)
	_ server.SessionWithResourceSubscriptionsErr = (*standing)(nil)
)
