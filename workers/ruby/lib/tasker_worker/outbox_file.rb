# frozen_string_literal: true

require 'fileutils'
require 'zlib'

module TaskerWorker
  # The outbox on disk: reports that outlive their process. An append-only text file, the same in every
  # SDK, one record per line after the first line `tasker-outbox 1`:
  #
  #     A <crc> <session> <batch_id> <sequence> <step_id:attempt,…|-> <frame>    a report, as it goes out
  #     D <crc> <batch_id> <sequence>                                            it was acknowledged
  #
  # `crc` is the CRC-32 of what follows it, in 8 hex digits. A record is on disk (fdatasync) before its
  # report is sent; what a crash can leave behind is a torn end, which was never sent and is cut off. A
  # `D` is not synced: losing one means that a report is sent once more, which changes nothing. PATH.lock
  # is held as long as a process uses the file. Socket thread only.
  class OutboxFile
    MAGIC = "tasker-outbox 1\n".b.freeze
    RETRY_MS = 1000
    # Below this size nothing is cleared away; above it no more than KEEP_RATIO times what is live is kept.
    COMPACT_BYTES = 1024 * 1024
    KEEP_RATIO = 4
    MODE = File::RDWR | File::CREAT | File::BINARY

    # One report that was not acknowledged. +steps+: [[step_id, attempt], …].
    Stored = Struct.new(:session, :batch_id, :sequence, :steps, :frame)

    # What the file held when it was opened, and when the next attempt to write is due (nil: none failed).
    attr_reader :stored, :retry_ms

    # Raises ConfigurationError, and changes nothing, when the file is in use, cannot be read or written, is
    # no outbox, or is damaged anywhere but at its end.
    def initialize(path, log:)
      @path = path
      @log = log
      @live = {}
      @live_bytes = 0
      @buffer = []
      refuse('is not a regular file') if File.exist?(path) && !File.file?(path)

      @lock = lock
      @file = File.open(path, MODE, 0o600).binmode
      @stored = read
      sync_folder
    rescue SystemCallError => e
      refuse("cannot be used: #{e.message}")
    end

    # The last attempt to write failed.
    def blocked? = !@retry_ms.nil?

    # Takes a report; it is safe when `sync` has returned true.
    def add(session, batch_id, sequence, steps, frame)
      line = line_of(session, batch_id, sequence, steps, frame)
      keep([batch_id, sequence], line)
      @buffer << line
    end

    # The report was acknowledged.
    def done(batch_id, sequence)
      line = @live.delete([batch_id, sequence])
      return if line.nil?

      @live_bytes -= line.bytesize
      @buffer << record('D', "#{batch_id} #{sequence}")
    end

    # Writes what was taken (with +durable+ down to the disk); false: it failed, ask again later.
    def sync(now, durable:)
      return false if @retry_ms && now < @retry_ms

      write(durable)
      @log.info('the outbox file can be written again', path: @path) if @retry_ms
      @retry_ms = nil
      true
    rescue SystemCallError => e
      unless @retry_ms
        @log.error('the outbox file cannot be written; reports stay in memory and nothing new starts',
                   path: @path, error: e.message)
      end
      @retry_ms = now + RETRY_MS
      false
    end

    # Writes what is left, empties the file when nothing is live, and gives up the lock.
    def close
      append(false)
      @file.truncate(MAGIC.bytesize) if @live.empty?
    rescue SystemCallError => e
      @log.error('the outbox file could not be finished', path: @path, error: e.message)
    ensure
      @file.close
      @lock.close
    end

    private

    def keep(key, line)
      @live[key] = line
      @live_bytes += line.bytesize
    end

    def write(durable)
      return rewrite if @rewrite_next

      append(durable)
      tidy
    end

    def append(durable)
      finish = write_at(@buffer.join, @size)
      sync_data if durable
      @size = finish
      @buffer.clear
    end

    def write_at(data, offset)
      until data.empty?
        written = @file.pwrite(data, offset)
        offset += written
        data = data.byteslice(written, data.bytesize)
      end
      offset
    rescue SystemCallError
      @file.truncate(@size)
      raise
    end

    def sync_data
      @file.fdatasync
    rescue SystemCallError
      # What the kernel holds of the file now is unknown: the next attempt writes it anew.
      @rewrite_next = true
      raise
    end

    def tidy
      return if @size <= COMPACT_BYTES

      if @live.empty?
        @file.truncate(MAGIC.bytesize)
        @size = MAGIC.bytesize
      elsif @size > COMPACT_BYTES + (KEEP_RATIO * @live_bytes)
        rewrite
      end
    end

    # A new file with what is live takes the place of the old one.
    def rewrite
      beside = "#{@path}.new"
      file = File.open(beside, MODE | File::TRUNC, 0o600).binmode
      file.syswrite(MAGIC)
      @live.each_value { |line| file.syswrite(line) }
      file.fdatasync
      File.rename(beside, @path)
      @file.close
      @file = file
      @size = file.size
      @buffer.clear
      @rewrite_next = false
      sync_folder
    rescue SystemCallError
      file&.close unless file.equal?(@file)
      FileUtils.rm_f(beside)
      raise
    end

    # [Stored, …]; cuts off a torn end.
    def read
      data = @file.read
      return start_anew if MAGIC.start_with?(data)

      refuse('is no outbox file; it was left as it is') unless data.start_with?(MAGIC)
      found = {}
      @size = read_records(data, found)
      if @size < data.bytesize
        @log.warn("the outbox file's torn end was cut off", path: @path, bytes: data.bytesize - @size)
        @file.truncate(@size)
      end
      found.each { |key, stored| keep(key, line_of(*stored)) }
      found.values
    end

    # The file is new, or was torn while it was made.
    def start_anew
      @file.truncate(0)
      @size = @file.pwrite(MAGIC, 0)
      []
    end

    # Fills +found+ with what is live; returns the size of what is good.
    def read_records(data, found)
      good = MAGIC.bytesize
      data.byteslice(good, data.bytesize).each_line("\n").with_index(2) do |line, number|
        unless take(line, found)
          refuse_unless_torn(data, good + line.bytesize, number)
          break
        end
        good += line.bytesize
      end
      good
    end

    def take(line, found)
      body = body_of(line)
      return false if body.nil?

      if line.start_with?('D')
        batch_id, sequence = body.split
        found.delete([batch_id, Integer(sequence, 10)])
      else
        session, batch_id, sequence, steps, frame = body.split(' ', 5)
        pairs = steps == '-' ? [] : steps.split(',').map { |pair| pair.split(':').map { |n| Integer(n, 10) } }
        [session, batch_id].each { |text| text.force_encoding(Encoding::UTF_8) }
        stored = Stored.new(session, batch_id, Integer(sequence, 10), pairs, frame)
        found[[batch_id, stored.sequence]] = stored
      end
      true
    rescue ArgumentError, TypeError
      false
    end

    # A bad record with good ones behind it is damage, not the end of a crashed write.
    def refuse_unless_torn(data, after, number)
      rest = data.byteslice(after, data.bytesize)
      return if rest.each_line("\n").none? { |line| body_of(line) }

      refuse("line #{number} is damaged and good lines follow; it was left as it is " \
             '(look at it, then move it away or remove that line)')
    end

    # The content of a whole, undamaged record; else nil.
    def body_of(line)
      return nil unless line.match?(/\A[AD] \h{8} .*\n\z/nm)

      body = line.byteslice(11, line.bytesize - 12)
      body if line.byteslice(2, 8) == format('%08x', Zlib.crc32(body))
    end

    def line_of(session, batch_id, sequence, steps, frame)
      named = steps.empty? ? '-' : steps.map { |step_id, attempt| "#{step_id}:#{attempt}" }.join(',')
      record('A', "#{session} #{batch_id} #{sequence} #{named} ".b << frame.b)
    end

    def record(kind, body)
      "#{kind} #{format('%08x', Zlib.crc32(body))} ".b << body.b << "\n"
    end

    def lock
      file = File.open("#{@path}.lock", MODE, 0o600)
      unless file.flock(File::LOCK_EX | File::LOCK_NB)
        owner = file.read(32).to_s.strip
        file.close
        refuse("another worker uses it (process #{owner.empty? ? 'unknown' : owner}); " \
               'give each worker a file of its own')
      end
      file.truncate(0)
      file.pwrite("#{Process.pid}\n", 0)
      file
    end

    def sync_folder
      File.open(File.dirname(File.expand_path(@path)), &:fsync)
    end

    def refuse(reason)
      raise ConfigurationError, "--outbox #{@path}: #{reason}"
    end
  end
end
