import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DataFiles;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.io.CloseableIterable;

/**
 * Iceberg's Java, which Spark plans and commits with, doing what iceberg_bench does; it prints what that prints.
 *
 * <p>plan DIR TABLE LOW HIGH TIMES | commit DIR TABLE COMMITS
 */
public class IcebergJava {
	private static Catalog catalog(String folder) {
		return CatalogUtil.buildIcebergCatalog("weir",
			Map.of("catalog-impl", "org.apache.iceberg.jdbc.JdbcCatalog", "uri", "jdbc:sqlite:file:" + folder + "/control.db",
				"jdbc.schema-version", "V1", "warehouse", "file://" + folder + "/warehouse"),
			new Configuration());
	}

	private static void say(double milliseconds, long found) throws Exception {
		String peak = Files.readAllLines(Path.of("/proc/self/status")).stream().filter(line -> line.startsWith("VmHWM")).findFirst().get();
		System.out.printf("%.3f %d 0 %d%n", milliseconds, found, Long.parseLong(peak.replaceAll("[^0-9]", "")) * 1024);
	}

	private static void plan(Catalog catalog, TableIdentifier name, String low, String high, int times) throws Exception {
		Expression filter = low.equals("-") ? Expressions.alwaysTrue()
			: Expressions.and(Expressions.greaterThanOrEqual("time", Long.parseLong(low)), Expressions.lessThan("time", Long.parseLong(high)));
		double best = Double.MAX_VALUE;
		long found = 0;
		for (int i = 0; i < times; i++) {
			long start = System.nanoTime();
			found = 0;
			try (CloseableIterable<FileScanTask> tasks = catalog.loadTable(name).newScan().filter(filter).planFiles()) {
				for (FileScanTask task : tasks)
					found++;
			}
			best = Math.min(best, (System.nanoTime() - start) / 1e6);
		}
		say(best, found);
	}

	private static void commit(Catalog catalog, TableIdentifier name, int commits) throws Exception {
		Table table = catalog.loadTable(name);
		DataFile like;
		try (CloseableIterable<FileScanTask> tasks = table.newScan().planFiles()) {
			like = tasks.iterator().next().file().copy();
		}
		long whole = System.nanoTime();
		for (int i = 0; i < commits; i++) {
			DataFile file = DataFiles.builder(table.spec()).copy(like).withPath(like.location() + ".more-" + i).build();
			long start = System.nanoTime();
			table.newAppend().appendFile(file).commit();
			System.out.printf("%.3f%n", (System.nanoTime() - start) / 1e6);
		}
		say((System.nanoTime() - whole) / 1e6, commits);
	}

	public static void main(String[] words) throws Exception {
		Catalog catalog = catalog(words[1]);
		TableIdentifier name = TableIdentifier.of("bench", words[2]);
		if (words[0].equals("plan"))
			plan(catalog, name, words[3], words[4], Integer.parseInt(words[5]));
		else
			commit(catalog, name, Integer.parseInt(words[3]));
		System.exit(0); // worker threads would keep it running
	}
}
