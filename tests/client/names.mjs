/* Names below .localhost are this machine's, whatever the resolver says. For tests only: users have
 * such names in their resolver or in /etc/hosts. */
import dns from "node:dns";

const lookup = dns.lookup;
dns.lookup = (host, ...rest) => lookup(host.endsWith(".localhost") ? "127.0.0.1" : host, ...rest);
