import Foundation
import TestSupport
import Testing

@Suite("moerun that is told to stop", .serialized)
struct InterruptTests {
  private static let signals: [(number: Int32, status: Int32)] = [
    (SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129),
  ]

  /// A pack and a directory in which the command works, with its cache directory.
  private struct Place {
    let pack: String
    let directory: TemporaryDirectory

    init() throws {
      pack = try SharedPack.shared.get().pack
      directory = try TemporaryDirectory()
    }

    func start(
      _ arguments: [String], lead: Int? = nil, environment: [String: String] = [:]
    ) throws -> PacedRun {
      // How the disk is best read is settled, so nothing but the command's own files is written.
      let reading = ["--io-backend", "pread", "--io-threads", "2", "--io-split", "4"]
      return try PacedRun(
        Binary.moerun.process(
          arguments + reading,
          environment: environment.merging(["XDG_CACHE_HOME": directory.path]) { $1 },
          directory: directory.path), lead: lead)
    }

    /// What is there but for the hot set, which every run keeps for the next one.
    var files: [String] {
      get throws {
        try FileBytes.files(below: directory.path).filter { !$0.hasPrefix("moepack/hot-") }
      }
    }
  }

  private static let prompt = "There was once a poor woman, and"

  @Test(
    "within a text: the text so far, a line feed, the report and 128 + signal", arguments: 0..<3)
  func midText(_ index: Int) throws {
    let (number, status) = Self.signals[index]
    let place = try Place()
    let arguments = ["generate", place.pack, "-p", Self.prompt, "-n", "1500", "--ignore-eos"]
    let run = try place.start(arguments, lead: 40)
    try #require(run.waitForOutput(30))
    run.send(number)
    let outcome = try #require(try run.end(within: 30))
    #expect(outcome.status == status, "\(outcome.errors)")
    #expect(outcome.output.hasSuffix("\n"))
    let text = String(outcome.output.dropLast())
    #expect(text.count >= 30)
    let count = try #require(
      outcome.errors.firstMatch(
        of: /moerun: interrupted after 8 of 8 prompt tokens and (\d+) of 1500 generated ones/),
      "\(outcome.errors)"
    ).1
    #expect(outcome.errors.contains("peak memory"))
    let same = try Binary.moerun.run([
      "generate", place.pack, "-p", Self.prompt, "-n", String(count), "--ignore-eos",
    ])
    // A character of several tokens may have been left incomplete.
    #expect(same.output.hasPrefix(text) && same.output.count <= text.count + 4)
    #expect(try place.files.isEmpty)
  }

  @Test("within a prompt: a report of what was evaluated, no text")
  func midPrompt() throws {
    let place = try Place()
    let text = String(
      decoding: try FileBytes.read(Fixtures.path("golden/tiny-qwen35moe-seedmix/ppl.txt"))
        .prefix(5000), as: UTF8.self)
    let csv = place.directory.file("steps.csv")
    // A token at a time: two thousand evaluations of the prompt's one.
    let run = try place.start([
      "generate", place.pack, "-p", text, "-n", "4", "--batch", "1", "--stats-csv", csv,
    ])
    // The file is made right before the first evaluation.
    try #require(run.wait { FileManager.default.fileExists(atPath: csv) })
    run.send(SIGTERM)
    let outcome = try #require(try run.end(within: 30))
    #expect(outcome.status == 143, "\(outcome.errors)")
    #expect(outcome.output.isEmpty)
    #expect(
      outcome.errors.contains(" prompt tokens and 0 of 4 generated ones"), "\(outcome.errors)")
    #expect(try place.files == ["steps.csv"])
  }

  @Test("with --json: the object, with the reason")
  func json() throws {
    let place = try Place()
    let csv = place.directory.file("steps.csv")
    let run = try place.start([
      "generate", place.pack, "-p", Self.prompt, "-n", "1500", "--ignore-eos", "--json",
      "--stats-csv", csv,
    ])
    try #require(run.wait { ((try? FileBytes.size(csv)) ?? 0) > 1000 })
    run.send(SIGINT)
    let outcome = try #require(try run.end(within: 30))
    #expect(outcome.status == 130, "\(outcome.errors)")
    let value = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    let report = try #require(value as? [String: Any])
    #expect(report["stop_reason"] as? String == "cancelled")
    #expect((report["completion_tokens"] as? Int ?? 0) > 0)
    #expect((report["text"] as? String)?.isEmpty == false)
  }

  @Test("a command without a text ends at once and leaves no file", arguments: 0..<3)
  func others(_ index: Int) throws {
    let place = try Place()
    let ids = place.directory.file("ids.json")
    let list = (0..<2000).map { String($0 % 500) }.joined(separator: ",")
    try Data("[\(list)]".utf8).write(to: URL(filePath: ids))
    let run = try place.start([
      "logits", place.pack, "--tokens", ids, "-o", place.directory.file("out.f32"), "--batch", "1",
    ])
    let partial = place.directory.file("out.f32.partial")
    try #require(run.wait { ((try? FileBytes.size(partial)) ?? 0) > 0 })
    run.send(Self.signals[index].number)
    let outcome = try #require(try run.end(within: 4))
    #expect(outcome.status == Self.signals[index].status)
    #expect(outcome.errors == "\nmoerun: interrupted; nothing was written\n")
    #expect(try place.files == ["ids.json"])
  }

  /// A library that makes reads of expert files hang after the first so many, as a dead disk does.
  private static let hangingReads: Result<(library: String, home: TemporaryDirectory), any Error> =
    Result {
      let directory = try TemporaryDirectory.untilExit()
      let source = directory.file("hang.c")
      try Data(
        """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stdatomic.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        static _Atomic int reads;
        static void hang_on_expert_files(int fd) {
          char link[64], path[4096];
          snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
          ssize_t length = readlink(link, path, sizeof path - 1);
          if (length <= 0) return;
          path[length] = 0;
          if (!strstr(path, ".experts") || ++reads <= atoi(getenv("HANG_AFTER"))) return;
          fputs("hanging\\n", stderr);
          for (;;) pause();
        }
        ssize_t pread(int fd, void *to, size_t count, off_t at) {
          hang_on_expert_files(fd);
          return ((ssize_t (*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread"))(fd, to, count, at);
        }
        ssize_t pread64(int fd, void *to, size_t count, off64_t at) {
          hang_on_expert_files(fd);
          return ((ssize_t (*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64"))(fd, to, count, at);
        }

        """.utf8
      ).write(to: URL(filePath: source))
      let library = directory.file("hang.so")
      let compiler = Process()
      compiler.executableURL = URL(filePath: "/usr/bin/env")
      compiler.arguments = ["clang", "-shared", "-fPIC", "-o", library, source, "-ldl"]
      try compiler.run()
      compiler.waitUntilExit()
      guard compiler.terminationStatus == 0 else { throw CocoaError(.fileNoSuchFile) }
      return (library, directory)
    }

  #if os(Linux)
    @Test("while a read hangs: ends all the same, after five seconds or with the second signal")
    func hangingRead() throws {
      let library = try Self.hangingReads.get().library
      for isImpatient in [true, false] {
        let place = try Place()
        let run = try place.start(
          [
            "generate", place.pack, "-p", Self.prompt, "-n", "900", "--ignore-eos", "--memory",
            "78MiB",
          ], environment: ["LD_PRELOAD": library, "HANG_AFTER": "1500"])
        let isHanging = run.wait { run.errorsSoFar.contains("hanging") }
        try #require(isHanging, "\(run.errorsSoFar)")
        usleep(200_000)
        let start = ContinuousClock.now
        run.send(SIGTERM)
        if isImpatient {
          usleep(300_000)
          run.send(SIGINT)
        }
        let outcome = try #require(try run.end(within: 20))
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        // The first signal is the one that counts.
        #expect(outcome.status == 143, "\(outcome.errors)")
        #expect(isImpatient ? seconds < 4 : (4.5..<15).contains(seconds), "\(seconds) s")
        #expect(outcome.output.hasSuffix("\n") && outcome.output.count > 10, "\(outcome.output)")
        #expect(
          outcome.errors.hasSuffix(
            "moerun: interrupted; ended without waiting for what was being read\n"))
        #expect(try place.files.isEmpty)
      }
    }
  #endif
}
