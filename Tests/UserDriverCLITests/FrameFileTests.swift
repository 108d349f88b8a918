// What the name of a file of frames promises.

import ArgumentParser
import Glibc
import Pictures
import Testing
import UserDriverClient

@testable import UserDriverCLI

@Suite struct FrameFileTests {
    private func form(_ path: String, _ format: String? = nil) throws -> FrameFile { try FrameFile(path: path, format: format, fps: nil) }

    @Test(arguments: [
        ("a/b.mov", "-c copy a/b.mov"), ("my film.mov", "-c copy 'my film.mov'"),
        ("film.webm", "ffmpeg"), ("film.mpg", "ffmpeg"), ("x.ts", "ffmpeg"),
    ]) func aContainerIsRefusedWithTheCommandThatMakesOne(_ path: String, _ words: String) throws {
        let error = try #require(throws: ValidationError.self) { try form(path) }
        #expect(error.message.contains("userdriver stream --format mjpeg -o - | ffmpeg -f mjpeg -framerate 30 -i - "), "\(error.message)")
        #expect(error.message.contains(words), "\(error.message)")
    }

    @Test(arguments: ["film.mp4", "film.MKV", "a/b.avi"]) func aFilmIsRefusedWithTheCommandThatRecordsIt(_ path: String) throws {
        let error = try #require(throws: ValidationError.self) {
            try FrameFile(path: path, format: nil, fps: nil, command: "userdriver stream cam")
        }
        #expect(error.message.hasSuffix("userdriver record cam -o \(path)"), "\(error.message)")
    }

    @Test(arguments: ["photo.jpg", "photo.JPEG", "a.png", "b.ppm", "c.webp", "d.gif"]) func onePictureIsRefused(_ path: String) throws {
        let error = try #require(throws: ValidationError.self) { try form(path) }
        #expect(error.message.contains("snap -o photo.jpg") || error.message.contains("ffmpeg"), "\(error.message)")
    }

    @Test(arguments: ["", "film.xyz", "film.mp", "%d", "%d-%d.jpg", "frame-%d.gif"]) func otherNamesAreRefused(_ path: String) {
        #expect(throws: ValidationError.self) { try form(path) }
    }

    @Test(
        arguments: [
            ("-", nil), ("-", "yuy2"), ("film.mjpeg", "mjpeg"), ("film.mjpg", nil), ("film.yuv", "nv12"), ("film.raw", "mjpeg"),
            ("film", "yuy2"),
            ("film.y4m", "mjpeg"), ("film.nv12", "NV12"), ("film.h264", "h264"), ("/dev/null", nil), ("/dev/fd/3", nil), ("a.d/film", nil),
            ("100%.raw", nil),
        ] as [(String, String?)]) func bareFramesAndFilmsAreWritten(_ path: String, _ format: String?) throws
    { _ = try form(path, format) }

    @Test(arguments: [("film.mjpeg", "yuy2"), ("film.yuv", "mjpeg"), ("film.nv12", "yuy2"), ("film.h264", "mjpeg")])
    func aFormatThatTheNameDoesNotPromiseIsRefused(_ path: String, _ format: String) throws {
        let error = try #require(throws: ValidationError.self) { try form(path, format) }
        #expect(error.message.contains(format.uppercased()) && error.message.contains("--format"), "\(error.message)")
        // And where only the stream says it.
        let failure = try #require(throws: CommandFailure.self) { try form(path).check(format, path: path) }
        #expect(failure.status == ExitStatus.usage)
    }

    @Test func eachFrameGetsAFileOfItsOwn() throws {
        var template = Array("/tmp/userdriver-frames-XXXXXX".utf8CString)
        let folder = String(cString: try #require(mkdtemp(&template)))
        let writer = try FrameWriter(path: folder + "/f-%03d.png", form: try form(folder + "/f-%03d.png"))
        let picture = try Picture(width: 32, height: 8, red: 10, green: 200, blue: 30)
        let stream = StreamDescription(format: "yuy2", width: 32, height: 8, fps: 30)
        for _ in 0..<2 { try writer.write(picture.bytes(as: .yuy2), of: stream) }
        try writer.close()
        for name in ["f-001.png", "f-002.png"] {
            #expect(try Picture(contentsOf: folder + "/" + name).width == 32)
            unlink(folder + "/" + name)
        }
        #expect(rmdir(folder) == 0, "nothing else is written")
    }

    @Test func aFileThatIsReplacedKeepsItsModeAndItsLink() throws {
        var template = Array("/tmp/userdriver-frames-XXXXXX".utf8CString)
        let folder = String(cString: try #require(mkdtemp(&template)))
        let (file, link) = (folder + "/private.jpg", folder + "/link.jpg")
        try WholeFile.write([1], to: file)
        #expect(chmod(file, 0o600) == 0 && symlink("private.jpg", link) == 0)
        try WholeFile.write([1, 2, 3], to: link)
        var (status, itself) = (stat(), stat())
        #expect(stat(file, &status) == 0 && status.st_size == 3 && status.st_mode & 0o777 == 0o600)
        #expect(lstat(link, &itself) == 0 && itself.st_mode & S_IFMT == S_IFLNK)
        unlink(file)
        unlink(link)
        rmdir(folder)
    }
}
