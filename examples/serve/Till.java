import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A till that asks a server: names what an image shows, then watches frames and prints what happens.
 *
 * <p>java examples/serve/Till.java http://127.0.0.1:8484 FRAME...
 *
 * <p>A till has a library for JSON; here, patterns do for the few values that are printed.
 */
public class Till {
    private static final HttpClient CLIENT =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private static final Pattern ITEM =
            Pattern.compile("\"decision\": \"([a-z]+)\", \"label\": (?:\"([^\"]*)\"|null)");
    private static final Pattern BASKET = Pattern.compile("\"basket\": (\\{[^}]*\\}), \"settled\"");

    public static void main(String[] arguments) throws Exception {
        String address = arguments[0];
        Matcher items = ITEM.matcher(send(address + "/v1/recognize", arguments[1]));
        while (items.find())
            System.out.println("recognize: " + (items.group(2) == null ? items.group(1) : items.group(2)));

        // Open before the first frame, so that no event is missed.
        var request = HttpRequest.newBuilder(URI.create(address + "/v1/streams/till/events")).build();
        var events = CLIENT.send(request, BodyHandlers.ofInputStream());
        Thread thread = new Thread(() -> printEvents(new BufferedReader(
                new InputStreamReader(events.body(), StandardCharsets.UTF_8))));
        thread.start();
        String answer = "";
        for (int number = 1; number < arguments.length; number++)
            answer = send(address + "/v1/streams/till/frames?at_s=" + number / 10.0, arguments[number]);
        var end = HttpRequest.newBuilder(URI.create(address + "/v1/streams/till")).DELETE().build();
        CLIENT.send(end, BodyHandlers.discarding()); // ends the events, too
        thread.join();
        Matcher basket = BASKET.matcher(answer);
        System.out.println("basket: " + (basket.find() ? basket.group(1) : "{}"));
    }

    private static String send(String address, String image) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(address))
                .header("Content-Type", "image/jpeg")
                .header("Deadline-Ms", "1000")
                .POST(HttpRequest.BodyPublishers.ofFile(Path.of(image)))
                .build();
        var response = CLIENT.send(request, BodyHandlers.ofString());
        if (response.statusCode() != 200)
            throw new IllegalStateException(response.statusCode() + ": " + response.body());
        return response.body();
    }

    private static void printEvents(BufferedReader lines) {
        String[] kind = {""};
        lines.lines().forEach(line -> {
            if (line.startsWith("event: ")) kind[0] = line.substring(7);
            Matcher item = ITEM.matcher(line);
            if (line.startsWith("data: ") && kind[0].equals("named") && item.find())
                System.out.println("event: named " + item.group(2));
        });
    }
}
