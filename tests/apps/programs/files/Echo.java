// SPDX-License-Identifier: BSD-2-Clause
// Echo server PORT | Echo client PORT: HTTP on PORT, lines on PORT + 1

import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;

public class Echo {
	static void server(int port) throws Exception {
		HttpServer http = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 200);

		http.createContext("/", exchange -> {
			byte[] body = exchange.getRequestBody().readAllBytes();

			exchange.sendResponseHeaders(200, body.length == 0 ? -1 : body.length);
			exchange.getResponseBody().write(body);
			exchange.close();
		});
		http.setExecutor(Executors.newFixedThreadPool(4));
		http.start();
		try (ServerSocket lines = new ServerSocket(port + 1, 200, InetAddress.getByName("127.0.0.1"))) {
			for (;;) {
				Socket peer = lines.accept();

				new Thread(() -> answer(peer)).start();
			}
		}
	}

	static void answer(Socket peer) {
		try (peer) {
			BufferedReader in = new BufferedReader(new InputStreamReader(peer.getInputStream()));

			for (String line = in.readLine(); line != null; line = in.readLine())
				peer.getOutputStream().write((line + "!\n").getBytes());
		} catch (Exception gone) {
			throw new RuntimeException(gone);
		}
	}

	static void client(int port) throws Exception {
		HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
		List<CompletableFuture<HttpResponse<String>>> answers = new ArrayList<>();
		int good = 0;

		for (int i = 0; i < 300; i++)
			answers.add(http.sendAsync(HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/"))
				.POST(HttpRequest.BodyPublishers.ofString("request " + i + " ".repeat(i * 10))).build(),
				HttpResponse.BodyHandlers.ofString()));
		for (int i = 0; i < 300; i++)
			good += answers.get(i).get().body().equals("request " + i + " ".repeat(i * 10)) ? 1 : 0;
		System.out.println("http " + good);

		List<Thread> threads = new ArrayList<>();
		int[] lines = new int[20];

		for (int t = 0; t < lines.length; t++) {
			int nr = t;

			threads.add(new Thread(() -> lines[nr] = talk(port + 1, nr)));
			threads.get(t).start();
		}
		for (int t = 0; t < lines.length; t++) {
			threads.get(t).join();
			System.out.println("lines " + lines[t]);
		}
		System.exit(0);
	}

	static int talk(int port, int nr) {
		int good = 0;

		try (Socket peer = new Socket("127.0.0.1", port)) {
			BufferedReader in = new BufferedReader(new InputStreamReader(peer.getInputStream()));

			peer.setSoTimeout(60000);
			for (int i = 0; i < 100; i++) {
				peer.getOutputStream().write((nr + "/" + i + "\n").getBytes());
				good += in.readLine().equals(nr + "/" + i + "!") ? 1 : 0;
			}
		} catch (Exception bad) {
			throw new RuntimeException(bad);
		}
		return good;
	}

	public static void main(String[] args) throws Exception {
		if (args[0].equals("server"))
			server(Integer.parseInt(args[1]));
		else
			client(Integer.parseInt(args[1]));
	}
}
