import java.net.InetSocketAddress;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;

/** Iceberg's own REST adapter over its JDBC catalog. Arguments: port, SQLite file, warehouse folder. */
public class ReferenceServer {
	public static void main(String[] arguments) throws Exception {
		Catalog catalog = CatalogUtil.buildIcebergCatalog("weir",
			Map.of("catalog-impl", "org.apache.iceberg.jdbc.JdbcCatalog", "uri", "jdbc:sqlite:file:" + arguments[1],
				"jdbc.schema-version", "V1", "warehouse", "file://" + arguments[2]),
			new Configuration());
		ServletContextHandler context = new ServletContextHandler();
		context.addServlet(new ServletHolder(new RESTCatalogServlet(new RESTCatalogAdapter(catalog))), "/*");
		Server server = new Server(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])));
		server.setHandler(context);
		server.start();
		System.out.println("ready");
		server.join();
	}
}
