/* The Java SDK as an application uses it (gateway mode); driven by ../sdks.mjs, which says what is
 * printed. */
import com.azure.cosmos.*;
import com.azure.cosmos.models.*;
import com.azure.cosmos.util.CosmosPagedIterable;
import java.time.Duration;
import java.util.*;

public class Probe {
    static final Duration REQUEST_TIMEOUT = Duration.ofSeconds(5);
    static CosmosContainer container;
    static volatile boolean isEnding;

    static synchronized void say(String... words) {
        System.out.println(String.join(" ", words));
    }

    interface Action { void run(int n) throws Exception; }

    static void check(String name, Action action) {
        try {
            action.run(0);
            say("check", name, "ok");
        } catch (Throwable err) {
            String text = String.valueOf(err).replace('\n', '|');
            say("check", name, "failed", text.substring(0, Math.min(400, text.length())));
        }
    }

    static void must(boolean condition, Object what) {
        if (!condition) {
            throw new IllegalStateException(String.valueOf(what));
        }
    }

    static Map<String, Object> item(String id, String pk, int n) {
        return new HashMap<>(Map.of("id", id, "pk", pk, "n", n));
    }

    static CosmosItemRequestOptions options() {
        return new CosmosItemRequestOptions().setCosmosEndToEndOperationLatencyPolicyConfig(
            new CosmosEndToEndOperationLatencyPolicyConfigBuilder(REQUEST_TIMEOUT).build());
    }

    static Object read(String id, String pk) {
        return container.readItem(id, new PartitionKey(pk), options(), Map.class).getItem().get("n");
    }

    static void basics() {
        check("create", n -> container.createItem(item("1", "a", 1)));
        check("read", n -> must(read("1", "a").equals(1), "n"));
        check("replace", n -> container.replaceItem(item("1", "a", 2), "1", new PartitionKey("a"), options()));
        check("upsert", n -> container.upsertItem(item("2", "b", 3)));
        check("patch", n -> container.patchItem("2", new PartitionKey("b"),
            CosmosPatchOperations.create().set("/n", 4), Map.class));
        check("query", n -> {
            CosmosPagedIterable<Map> found = container.queryItems("SELECT * FROM c WHERE c.n >= 2 ORDER BY c.n",
                new CosmosQueryRequestOptions(), Map.class);
            List<Object> numbers = new ArrayList<>();
            found.forEach(r -> numbers.add(r.get("n")));
            must(numbers.equals(List.of(2, 4)), numbers);
        });
        check("changefeed", n -> {
            Set<Object> seen = new TreeSet<>();
            container.queryChangeFeed(CosmosChangeFeedRequestOptions.createForProcessingFromBeginning(
                FeedRange.forFullRange()), Map.class).forEach(r -> seen.add(r.get("id")));
            must(seen.equals(Set.of("1", "2")), seen);
        });
        check("drained", n -> { // the SDK compares the continuation, as a number, with the session token's
            var options = CosmosChangeFeedRequestOptions.createForProcessingFromBeginning(FeedRange.forFullRange());
            options.setCompleteAfterAllCurrentChangesRetrieved(true);
            Set<Object> seen = new TreeSet<>();
            container.queryChangeFeed(options, Map.class).forEach(r -> seen.add(r.get("id")));
            must(seen.equals(Set.of("1", "2")), seen);
        });
        check("delete", n -> container.deleteItem("2", new PartitionKey("b"), options()));
        check("missing", n -> {
            try {
                read("2", "b");
            } catch (CosmosException err) {
                must(err.getStatusCode() == 404, err.getStatusCode());
                return;
            }
            must(false, "found");
        });
    }

    static void stream(String letter, Action action) {
        for (int n = 0; !isEnding; n++) {
            try {
                action.run(n);
                say(letter, "ok");
            } catch (CosmosException err) {
                say(letter, err.getStatusCode() + (err.getSubStatusCode() != 0 ? "/" + err.getSubStatusCode() : ""));
            } catch (Throwable err) {
                say(letter, err.getClass().getSimpleName());
            }
            try {
                Thread.sleep(20);
            } catch (InterruptedException err) {
                return;
            }
        }
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> env = System.getenv();
        String jar = CosmosClient.class.getProtectionDomain().getCodeSource().getLocation().getPath();
        say("version", jar.replaceAll(".*azure-cosmos-|\\.jar", ""));
        CosmosClient client = new CosmosClientBuilder().endpoint(env.get("HF_ENDPOINT")).key(env.get("HF_KEY"))
            .gatewayMode().preferredRegions(Arrays.asList(env.get("HF_REGIONS").split(","))).buildClient();
        client.createDatabaseIfNotExists("sdks");
        CosmosDatabase database = client.getDatabase("sdks");
        database.createContainerIfNotExists(env.get("HF_CONTAINER"), "/pk");
        container = database.getContainer(env.get("HF_CONTAINER"));
        if (env.get("HF_MODE").equals("basics")) {
            basics();
        } else {
            container.upsertItem(item("read-me", "r", 0));
            new Thread(() -> stream("w", n -> container.createItem(item("w" + n, "k" + n % 10, n),
                new PartitionKey("k" + n % 10), options()))).start();
            new Thread(() -> stream("r", n -> read("read-me", "r"))).start();
            while (System.in.read() >= 0) {
            }
            isEnding = true;
        }
        System.exit(0);
    }
}
