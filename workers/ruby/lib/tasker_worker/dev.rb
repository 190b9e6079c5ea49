# frozen_string_literal: true

require 'json'
require 'uri'

module TaskerWorker
  # The `tasker dev` that runs in the nearest .tasker/: where a worker connects that was given no endpoint.
  #
  # The folder may have come with a clone or belong to somebody else. It counts only when the folder and its
  # files are this user's and no links, and when its lock is held, which only a running `tasker dev` does.
  module Dev
    FOLDER = '.tasker'
    STATE_BYTES_MAX = 1024 * 1024
    # Where a tasker dev puts its sockets; the variables of `tasker dev --env` outlive it.
    SOCKET = %r{\Aipc://(/.*/(?:\.tasker/run|tasker-run-[A-Za-z0-9]{6})/[a-z]+)\z}m
    # Where its private PostgreSQL listens, as a URL names it.
    SERVER = %r{/[^?&@]*/(?:\.tasker/run|tasker-run-[A-Za-z0-9]{6})/pg(?=\z|[?&/])}m
    SERVER_SOCKET = '.s.PGSQL.5432'
    # Without NONBLOCK a pipe of that name would stop the worker for ever.
    PLAIN = File::RDONLY | File::NOFOLLOW | File::NONBLOCK

    # One that runs: its folder, its endpoints ('steps', 'results') and its database.
    Running = Struct.new(:folder, :endpoints, :database_url) do
      # Whether one of +others+ is its own; a worker reads `*` as loopback.
      def serves?(others)
        endpoints.values.any? { |value| others.include?(value.sub(%r{\Atcp://\*:}, 'tcp://127.0.0.1:')) }
      end
    end

    module_function

    # The endpoints of the nearest running one, in +start+ or above; empty: none runs.
    def endpoints(start = Dir.pwd) = running(start)&.endpoints || {}

    # The nearest one that runs, in +start+ or above; nil when none does.
    def running(start = Dir.pwd)
      folder = File.absolute_path(start)
      loop do
        found = running_in(File.join(folder, FOLDER))
        return found if found

        above = File.dirname(folder)
        return nil if above == folder

        folder = above
      end
    rescue SystemCallError # the working directory was removed
      nil
    end

    # Whether an endpoint is the socket of a `tasker dev` that is gone.
    def left_over?(value)
      match = SOCKET.match(value)
      !match.nil? && !File.exist?(match[1])
    end

    # Whether a URL names the private PostgreSQL of a `tasker dev` that is gone; commands pass over it too.
    def url_left_over?(url)
      match = SERVER.match(URI.decode_www_form_component(url.gsub('+', '%2B')).scrub)
      !match.nil? && !File.exist?(File.join(match[0], SERVER_SOCKET))
    rescue ArgumentError # no URL at all
      false
    end

    def running_in(path)
      File.open(path, File::RDONLY | File::NOFOLLOW) do |folder|
        return nil unless folder.stat.directory? && folder.stat.owned?

        # Through the descriptor, so that all of it is about the folder that was looked at.
        inside = "/proc/self/fd/#{folder.fileno}"
        return nil unless locked?(inside)

        state = JSON.parse(read(inside, 'dev.json'))
        named = state.fetch('endpoints')
        Running.new(path, %w[steps results].to_h { |part| [part, String(named.fetch(part))] },
                    state['database_url'])
      end
    rescue SystemCallError, JSON::ParserError, KeyError, TypeError, NoMethodError
      nil
    end

    def locked?(inside)
      plain(inside, 'lock') { |file| !file.flock(File::LOCK_SH | File::LOCK_NB) }
    end

    def read(inside, name)
      plain(inside, name) { |file| file.read(STATE_BYTES_MAX) || '' }
    end

    def plain(inside, name)
      File.open(File.join(inside, name), PLAIN) do |file|
        raise Errno::EPERM, name unless file.stat.file? && file.stat.owned?

        yield file
      end
    end

    private_class_method :running_in, :locked?, :read, :plain
  end
end
