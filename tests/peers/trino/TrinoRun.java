import io.trino.Session;
import io.trino.plugin.iceberg.IcebergPlugin;
import io.trino.testing.DistributedQueryRunner;
import io.trino.testing.QueryRunner;
import io.trino.testing.TestingSession;
import java.util.HashMap;
import java.util.Map;

/** Arguments: the port, then catalogs as NAME:key=value,key=value...; each is the Iceberg connector, and may read local files. */
public class TrinoRun {
	public static void main(String[] arguments) throws Exception {
		Session session = TestingSession.testSessionBuilder().setCatalog("weir").setSchema("default").build();
		QueryRunner runner = DistributedQueryRunner.builder(session)
				.setWorkerCount(0)
				.addCoordinatorProperty("http-server.http.port", arguments[0])
				.build();
		runner.installPlugin(new IcebergPlugin());
		for (int i = 1; i < arguments.length; i++) {
			String[] nameAndRest = arguments[i].split(":", 2);
			Map<String, String> properties = new HashMap<>(Map.of("fs.hadoop.enabled", "true"));
			for (String pair : nameAndRest[1].split(",")) {
				String[] keyAndValue = pair.split("=", 2);
				properties.put(keyAndValue[0], keyAndValue[1]);
			}
			runner.createCatalog(nameAndRest[0], "iceberg", properties);
		}
		System.out.println("ready");
		Thread.sleep(Long.MAX_VALUE);
	}
}
