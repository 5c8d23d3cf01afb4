package msk.e2e;

import com.fasterxml.jackson.core.JsonProcessingException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;

/** A file parsed again whenever it was replaced, so that tests rotate keys and change policies on running brokers. */
final class WatchedFile<T> {
    interface Parser<T> {
        T parse(byte[] content) throws IOException;
    }

    private final Path path;
    private final Parser<T> parser;
    private FileTime readAt;
    private Object readKey;
    private long readSize;
    private T value;

    WatchedFile(Path path, Parser<T> parser) {
        this.path = path;
        this.parser = parser;
    }

    synchronized T get() {
        try {
            // The test bed replaces files by renaming, so a new file also has a new inode (its key).
            var attributes = Files.readAttributes(path, java.nio.file.attribute.BasicFileAttributes.class);
            if (value == null
                    || !attributes.lastModifiedTime().equals(readAt)
                    || !attributes.fileKey().equals(readKey)
                    || attributes.size() != readSize) {
                var content = Files.readAllBytes(path);
                readAt = attributes.lastModifiedTime();
                readKey = attributes.fileKey();
                readSize = attributes.size();
                try {
                    value = parser.parse(content);
                } catch (JsonProcessingException e) {
                    if (value == null) {
                        throw e;
                    }
                    // A hand that edits it may save half of it, or make a mistake: what it said before holds until it is right.
                    System.err.println(path + " is no JSON of the form that is read, and is ignored: " + e.getOriginalMessage());
                }
            }
            return value;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
