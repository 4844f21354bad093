// The Go SDK as an application uses it; driven by ../sdks.mjs, which says what is printed.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/azcosmos"
)

const requestTimeout = 5 * time.Second

var out sync.Mutex

func say(words ...string) {
	out.Lock()
	defer out.Unlock()
	fmt.Println(strings.Join(words, " "))
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(name string, fn func() error) {
	if err := fn(); err != nil {
		say("check", name, "failed", strings.ReplaceAll(err.Error(), "\n", " | "))
	} else {
		say("check", name, "ok")
	}
}

// Trusts the account's authority. Names below .localhost are this machine's, whatever the resolver
// says: for tests only.
func transport() *http.Client {
	pem, err := os.ReadFile(os.Getenv("HF_CA"))
	fatal(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		fatal(errors.New("no certificate in HF_CA"))
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	var dialer net.Dialer
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err == nil && strings.HasSuffix(host, ".localhost") {
			addr = net.JoinHostPort("127.0.0.1", port)
		}
		return dialer.DialContext(ctx, network, addr)
	}
	return &http.Client{Transport: t}
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, dep := range info.Deps {
		if strings.HasSuffix(dep.Path, "/azcosmos") {
			return dep.Version
		}
	}
	return "unknown"
}

func isStatus(err error, status int) bool {
	var response *azcore.ResponseError
	return errors.As(err, &response) && response.StatusCode == status
}

type item struct {
	ID string `json:"id"`
	PK string `json:"pk"`
	N  int    `json:"n"`
}

func encode(id, pk string, n int) []byte {
	text, err := json.Marshal(item{id, pk, n})
	fatal(err)
	return text
}

// azcosmos sends no request on behalf of change feeds in this version.
func basics(c *azcosmos.ContainerClient) {
	ctx := context.Background()
	a, b := azcosmos.NewPartitionKeyString("a"), azcosmos.NewPartitionKeyString("b")
	check("create", func() error {
		_, err := c.CreateItem(ctx, a, encode("1", "a", 1), nil)
		return err
	})
	check("read", func() error {
		res, err := c.ReadItem(ctx, a, "1", nil)
		if err == nil && !strings.Contains(string(res.Value), `"n":1`) {
			err = errors.New(string(res.Value))
		}
		return err
	})
	check("replace", func() error {
		_, err := c.ReplaceItem(ctx, a, "1", encode("1", "a", 2), nil)
		return err
	})
	check("upsert", func() error {
		_, err := c.UpsertItem(ctx, b, encode("2", "b", 3), nil)
		return err
	})
	check("patch", func() error {
		ops := azcosmos.PatchOperations{}
		ops.AppendSet("/n", 4)
		_, err := c.PatchItem(ctx, b, "2", ops, nil)
		return err
	})
	check("query", func() error {
		for _, key := range []azcosmos.PartitionKey{a, azcosmos.NewPartitionKey()} {
			want := 1
			if len(fmt.Sprint(key)) == len(fmt.Sprint(azcosmos.NewPartitionKey())) {
				want = 2
			}
			found := 0
			for p := c.NewQueryItemsPager("SELECT * FROM c WHERE c.n >= 2", key, nil); p.More(); {
				page, err := p.NextPage(ctx)
				if err != nil {
					return err
				}
				found += len(page.Items)
			}
			if found != want {
				return fmt.Errorf("%d items instead of %d", found, want)
			}
		}
		return nil
	})
	check("delete", func() error {
		_, err := c.DeleteItem(ctx, b, "2", nil)
		return err
	})
	check("missing", func() error {
		// This SDK sends no session token by itself: another region may be a moment behind.
		for end := time.Now().Add(requestTimeout); ; time.Sleep(20 * time.Millisecond) {
			_, err := c.ReadItem(ctx, b, "2", nil)
			if isStatus(err, 404) {
				return nil
			}
			if time.Now().After(end) {
				return fmt.Errorf("instead of 404: %v", err)
			}
		}
	})
}

func name(err error) string {
	var response *azcore.ResponseError
	var dns *net.DNSError
	switch {
	case errors.As(err, &response):
		sub := response.RawResponse.Header.Get("x-ms-substatus")
		if sub != "" && sub != "0" {
			return fmt.Sprintf("%d/%s", response.StatusCode, sub)
		}
		return fmt.Sprint(response.StatusCode)
	case errors.Is(err, context.DeadlineExceeded):
		return "DeadlineExceeded"
	case errors.As(err, &dns):
		return "DNSError"
	case errors.Is(err, io.EOF):
		return "EOF"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return "OpError-" + op.Op
	}
	return fmt.Sprintf("%T", err)
}

func stream(letter string, done <-chan struct{}, fn func(ctx context.Context, n int) error) {
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		err := fn(ctx, n)
		cancel()
		if err != nil {
			say(letter, name(err))
		} else {
			say(letter, "ok")
		}
	}
}

func main() {
	say("version", version())
	key, err := azcosmos.NewKeyCredential(os.Getenv("HF_KEY"))
	fatal(err)
	client, err := azcosmos.NewClientWithKey(os.Getenv("HF_ENDPOINT"), key, &azcosmos.ClientOptions{
		ClientOptions:    azcore.ClientOptions{Transport: transport()},
		PreferredRegions: strings.Split(os.Getenv("HF_REGIONS"), ","),
	})
	fatal(err)
	ctx := context.Background()
	if _, err = client.CreateDatabase(ctx, azcosmos.DatabaseProperties{ID: "sdks"}, nil); !isStatus(err, 409) {
		fatal(err)
	}
	database, err := client.NewDatabase("sdks")
	fatal(err)
	id := os.Getenv("HF_CONTAINER")
	_, err = database.CreateContainer(ctx, azcosmos.ContainerProperties{ID: id,
		PartitionKeyDefinition: azcosmos.PartitionKeyDefinition{Paths: []string{"/pk"}}}, nil)
	if !isStatus(err, 409) {
		fatal(err)
	}
	container, err := database.NewContainer(id)
	fatal(err)
	if os.Getenv("HF_MODE") == "basics" {
		basics(container)
		return
	}
	r := azcosmos.NewPartitionKeyString("r")
	_, err = container.UpsertItem(ctx, r, encode("read-me", "r", 0), nil)
	fatal(err)
	done := make(chan struct{})
	go stream("w", done, func(ctx context.Context, n int) error {
		pk := fmt.Sprintf("k%d", n%10)
		_, err := container.CreateItem(ctx, azcosmos.NewPartitionKeyString(pk), encode(fmt.Sprintf("w%d", n), pk, n), nil)
		return err
	})
	go stream("r", done, func(ctx context.Context, n int) error {
		_, err := container.ReadItem(ctx, r, "read-me", nil)
		return err
	})
	_, _ = io.Copy(io.Discard, os.Stdin)
	close(done)
}
