import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The lines of JSON that the labellers read and write: flat objects of texts in, calls out. The JDK has no reader. */
final class Json {
    record Call(String name, int offset) {}

    private final String line;
    private int at;

    private Json(String line) {
        this.line = line;
    }

    /** An object whose keys and values are all texts. */
    static Map<String, String> texts(String line) {
        Json json = new Json(line);
        Map<String, String> found = new HashMap<>();
        while ((json.at = line.indexOf('"', json.at)) >= 0) {
            String key = json.text();
            json.at = line.indexOf('"', json.at);
            found.put(key, json.text());
        }
        return found;
    }

    private String text() {
        StringBuilder read = new StringBuilder();
        for (at++; line.charAt(at) != '"'; at++) {
            read.append(line.charAt(at) == '\\' ? escaped() : line.charAt(at));
        }
        at++;
        return read.toString();
    }

    private char escaped() {
        char letter = line.charAt(++at);
        if (letter == 'u') {
            at += 4;
            return (char) Integer.parseInt(line.substring(at - 3, at + 1), 16);
        }
        int known = "bfnrt".indexOf(letter);
        return known < 0 ? letter : "\b\f\n\r\t".charAt(known);
    }

    /** A line is counted by line feeds alone, as git does. */
    static String answer(String path, String text, List<Call> calls, long errors) {
        List<String> items = new ArrayList<>();
        List<Call> sorted = new ArrayList<>(calls);
        sorted.sort((one, other) -> Integer.compare(one.offset, other.offset));
        int number = 1;
        int from = 0;
        for (Call call : sorted) {
            for (; from < call.offset; from++) {
                number += text.charAt(from) == '\n' ? 1 : 0;
            }
            items.add("[" + quoted(call.name) + ", " + number + "]");
        }
        return "{\"path\": " + quoted(path) + ", \"calls\": [" + String.join(", ", items) + "], \"errors\": " + errors + "}";
    }

    private static String quoted(String text) {
        StringBuilder written = new StringBuilder("\"");
        for (char letter : text.toCharArray()) {
            if (letter < ' ' || letter == '"' || letter == '\\' || letter > '~') {
                written.append(String.format("\\u%04x", (int) letter));
            } else {
                written.append(letter);
            }
        }
        return written.append('"').toString();
    }
}
