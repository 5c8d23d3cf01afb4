import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/** Writes values with Apache Avro's own library: each line of input has a schema, a tab, and the value in Avro's JSON encoding. */
final class AvroEncoder {
    public static void main(String[] arguments) throws Exception {
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            var parts = line.split("\t", 2);
            var schema = new Schema.Parser().parse(parts[0]);
            var json = DecoderFactory.get().jsonDecoder(schema, parts[1]);
            var value = new GenericDatumReader<Object>(schema).read(null, json);
            var written = new ByteArrayOutputStream();
            var binary = EncoderFactory.get().binaryEncoder(written, null);
            new GenericDatumWriter<Object>(schema).write(value, binary);
            binary.flush();
            System.out.println(HexFormat.of().formatHex(written.toByteArray()));
        }
    }
}
