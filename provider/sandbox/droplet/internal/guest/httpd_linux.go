package guest

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// HTTPName is the name under which a binary is the droplet's own web server, which is there on any host.
const HTTPName = "berth-httpd"

// ServeFiles is the main function of the web server: berth-httpd [-p port] [folder]. It returns an exit status.
func ServeFiles(args []string) int {
	flags := flag.NewFlagSet(HTTPName, flag.ContinueOnError)
	port := flags.Int("p", 8080, "TCP port to listen on")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "Usage: %s [-p port] [folder]\nServes the files of a folder over HTTP.\n", HTTPName)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	dir := "."
	if flags.NArg() > 0 {
		dir = flags.Arg(0)
	}
	if err := serveFiles(dir, *port); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", HTTPName, err)
		return 1
	}
	return 0
}

func serveFiles(dir string, port int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		return err
	}
	fmt.Printf("serving %s on port %d\n", dir, port)
	server := &http.Server{
		Handler:           http.FileServerFS(root.FS()),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: time.Minute,
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-end
		server.Close()
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
