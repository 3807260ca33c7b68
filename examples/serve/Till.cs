// A till that asks a server: names what an image shows, then watches frames and prints what happens.
//
// mcs -r:System.Net.Http Till.cs && mono Till.exe http://127.0.0.1:8484 FRAME...
//
// A till has a library for JSON; here, patterns do for the few values that are printed.

using System;
using System.Globalization;
using System.IO;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text.RegularExpressions;
using System.Threading.Tasks;

public static class Till
{
    private static readonly HttpClient Client = new HttpClient();
    private static readonly Regex Item =
        new Regex("\"decision\": \"([a-z]+)\", \"label\": (?:\"([^\"]*)\"|null)");
    private static readonly Regex Basket = new Regex("\"basket\": (\\{[^}]*\\}), \"settled\"");

    public static void Main(string[] arguments)
    {
        Run(arguments).GetAwaiter().GetResult();
    }

    private static async Task Run(string[] arguments)
    {
        string address = arguments[0];
        foreach (Match item in Item.Matches(await Send(address + "/v1/recognize", arguments[1])))
            Console.WriteLine("recognize: " + (item.Groups[2].Success ? item.Groups[2] : item.Groups[1]));

        // Open before the first frame, so that no event is missed.
        Stream events = await Client.GetStreamAsync(address + "/v1/streams/till/events");
        Task printing = Task.Run(() => PrintEvents(events));
        string answer = "";
        for (int number = 1; number < arguments.Length; number++)
        {
            string at = (number / 10.0).ToString(CultureInfo.InvariantCulture);
            answer = await Send(address + "/v1/streams/till/frames?at_s=" + at, arguments[number]);
        }
        await Client.DeleteAsync(address + "/v1/streams/till"); // ends the events, too
        await printing;
        Console.WriteLine("basket: " + Basket.Match(answer).Groups[1]);
    }

    private static async Task<string> Send(string address, string image)
    {
        var content = new ByteArrayContent(File.ReadAllBytes(image));
        content.Headers.ContentType = new MediaTypeHeaderValue("image/jpeg");
        var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = content };
        request.Headers.Add("Deadline-Ms", "1000");
        HttpResponseMessage response = await Client.SendAsync(request);
        string answer = await response.Content.ReadAsStringAsync();
        if (!response.IsSuccessStatusCode)
            throw new InvalidOperationException((int)response.StatusCode + ": " + answer);
        return answer;
    }

    private static void PrintEvents(Stream events)
    {
        string kind = "", line;
        var lines = new StreamReader(events);
        while ((line = lines.ReadLine()) != null)
        {
            if (line.StartsWith("event: ")) kind = line.Substring(7);
            Match item = Item.Match(line);
            if (line.StartsWith("data: ") && kind == "named" && item.Success)
                Console.WriteLine("event: named " + item.Groups[2]);
        }
    }
}
